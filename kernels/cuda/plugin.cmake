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
  if(NOT DEFINED ENV{CUDAARCHS})
    set(CMAKE_CUDA_ARCHITECTURES "75-real;80-real;90a-real;100-real;100-virtual" CACHE STRING
      "architectures of the CUDA plug-in")
  endif()
  enable_language(CUDA)
  find_program(NNM_PYTHON python3)
  # Only headers: the library itself is looked for when it is first used.
  set(NNM_CUBLAS_HINTS ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  if(NNM_PYTHON)
    execute_process(COMMAND ${NNM_PYTHON} -c "import sysconfig; print(sysconfig.get_path('purelib'))"
      OUTPUT_VARIABLE site OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    file(GLOB NNM_CUBLAS_WHEELS ${site}/nvidia/*/include)
    list(APPEND NNM_CUBLAS_HINTS ${NNM_CUBLAS_WHEELS})
  endif()
  find_path(NNM_CUBLAS_INCLUDE cublasLt.h HINTS ${NNM_CUBLAS_HINTS} REQUIRED)
  add_library(nnm_cuda MODULE ${NNM_CUDA_KERNELS} ${NNM_CUDA_SOURCES})
  nnm_cuda_plugin(nnm_cuda)
  set_target_properties(nnm_cuda PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON
    CUDA_RUNTIME_LIBRARY Static)
  # Kernels call the standard library's constexpr functions.
  target_compile_options(nnm_cuda PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall$<SEMICOLON>--expt-relaxed-constexpr>"
    $<$<COMPILE_LANGUAGE:CXX>:-Wall$<SEMICOLON>-Wextra>)
  # The runtime's headers are on nvcc's own path, and needed by the C++ files, too.
  target_include_directories(nnm_cuda SYSTEM PRIVATE
    ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} ${NNM_CUBLAS_INCLUDE})
  target_compile_options(nnm_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--compress-mode=size>)
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
endif()
