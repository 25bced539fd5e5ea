# The CUDA plug-in: built by nvcc with NNM_CUDA, and by the C++ compiler on an emulation of CUDA for
# the tests. Both are made of the same files; libnnm.so loads one of them when a GPU is asked for.
file(GLOB NNM_CUDA_KERNELS RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS kernels/cuda/*.cu)
file(GLOB NNM_CUDA_SOURCES CONFIGURE_DEPENDS kernels/cuda/*.cpp)

# Of its symbols only the entry is seen from outside, and the slots, which it shares with libnnm.so.
function(nnm_cuda_plugin target)
  target_link_libraries(${target} PRIVATE nnm)
  target_link_options(${target} PRIVATE
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/kernels/cuda/plugin.map)
  set_target_properties(${target} PROPERTIES PREFIX lib
    LINK_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/plugin.map
    BUILD_RPATH "$ORIGIN" INSTALL_RPATH "$ORIGIN")
endfunction()

if(NNM_CUDA)
  # CMake knows no flag for C++20 in CUDA before 3.30's policies do.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  # Of the code on the host alone, which launches: half as large as with -O3. ptxas has its own.
  set(CMAKE_CUDA_FLAGS_RELEASE "-Xcompiler=-Os -DNDEBUG")
  enable_language(CUDA)
  set(NNM_CUDA_ARCHITECTURES 75-real 80-real 90a-real 100-real 100-virtual)
  set(NNM_CUDA_COMPRESSED --compress-mode=size)
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.8)
    set(NNM_CUDA_ARCHITECTURES 75-real 80-real 90a-real 90-virtual)
    set(NNM_CUDA_COMPRESSED -Xfatbin=-compress-all)
  endif()
  if(NNM_CUDA STREQUAL TEST)
    set(NNM_CUDA_ARCHITECTURES 90a-real)
  endif()
  # Only headers: the library itself is looked for when it is first used.
  find_path(NNM_CUBLAS_INCLUDE cublasLt.h HINTS ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} REQUIRED)
  add_library(nnm_cuda MODULE ${NNM_CUDA_KERNELS} ${NNM_CUDA_SOURCES})
  nnm_cuda_plugin(nnm_cuda)
  set_target_properties(nnm_cuda PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON
    CUDA_ARCHITECTURES "${NNM_CUDA_ARCHITECTURES}" CUDA_RUNTIME_LIBRARY Static
    CUDA_COMPILER_LAUNCHER ${CMAKE_SOURCE_DIR}/kernels/cuda/nvcc.sh)
  # Names of kernels make up a tenth of it, and the one name that is looked for is dynamic.
  target_link_options(nnm_cuda PRIVATE -Wl,--strip-all)
  if(NNM_CUDA STREQUAL TEST)
    # Not where the program looks for it: other GPUs than the one architecture's can do nothing with it.
    set_target_properties(nnm_cuda PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/cuda-test BUILD_RPATH "$ORIGIN/..")
  endif()
  # Kernels call the standard library's constexpr functions.
  target_compile_options(nnm_cuda PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall$<SEMICOLON>--expt-relaxed-constexpr$<SEMICOLON>-Xptxas=-v>"
    $<$<COMPILE_LANGUAGE:CUDA>:${NNM_CUDA_COMPRESSED}>
    $<$<COMPILE_LANGUAGE:CXX>:-Wall$<SEMICOLON>-Wextra>)
  # The runtime's headers are on nvcc's own path, and needed by the C++ files, too.
  target_include_directories(nnm_cuda SYSTEM PRIVATE
    ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} ${NNM_CUBLAS_INCLUDE})
endif()

if(NNM_TESTS)
  # A kernel's file is CUDA to one target and C++ to the other; CMake gives a file one language.
  set(NNM_EMULATED_SOURCES "")
  foreach(file IN LISTS NNM_CUDA_KERNELS)
    get_filename_component(name ${file} NAME_WE)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/emulated/${name}.cpp CONTENT "#include \"${file}\"\n")
    list(APPEND NNM_EMULATED_SOURCES ${CMAKE_BINARY_DIR}/emulated/${name}.cpp)
  endforeach()
  file(GLOB NNM_EMULATOR_SOURCES CONFIGURE_DEPENDS kernels/cuda/emulated/*.cpp)
  add_library(nnm_cuda_emulated MODULE
    ${NNM_EMULATED_SOURCES} ${NNM_CUDA_SOURCES} ${NNM_EMULATOR_SOURCES})
  nnm_cuda_plugin(nnm_cuda_emulated)
  target_link_libraries(nnm_cuda_emulated PRIVATE nnm_flags)
  target_compile_definitions(nnm_cuda_emulated PRIVATE NNM_SIMT_EMULATED)
  # Emulated threads spend their time in switching; optimising more costs a third of the build's time.
  target_compile_options(nnm_cuda_emulated PRIVATE $<$<NOT:$<CONFIG:Debug>>:-O1>)
  # What tells nvcc to unroll loops says nothing to this compiler.
  target_compile_options(nnm_cuda_emulated PRIVATE -Wno-unknown-pragmas)

  # libcuda.so.1 for machines without a driver: cuDNN does not load without its name.
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/emulated/no_driver.cpp CONTENT [[
#define NNM_ABSENT(name) extern "C" int name() { return 100; /* CUDA_ERROR_NO_DEVICE */ }
NNM_ABSENT(cuGetErrorString)
NNM_ABSENT(cuModuleGetFunction)
NNM_ABSENT(cuModuleLoadData)
NNM_ABSENT(cuModuleUnload)
NNM_ABSENT(cuTensorMapEncodeIm2col)
NNM_ABSENT(cuTensorMapEncodeTiled)
]] @ONLY)
  add_library(nnm_no_driver SHARED ${CMAKE_BINARY_DIR}/emulated/no_driver.cpp)
  set_target_properties(nnm_no_driver PROPERTIES
    OUTPUT_NAME cuda SOVERSION 1 LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/no-driver)
endif()
