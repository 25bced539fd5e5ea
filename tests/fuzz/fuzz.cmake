# nnm_fuzz: libFuzzer over the readers of targets.h. The library is compiled to tell it which blocks
# run and what is compared; kernels are not, they read no bytes of others.
file(GLOB NNM_LIBFUZZER /usr/lib/llvm-*/lib/libFuzzer.a)
if(NOT NNM_LIBFUZZER)
  message(FATAL_ERROR "no libFuzzer.a in /usr/lib/llvm-*/lib: install libfuzzer-14-dev, or the version that the distribution has")
endif()
list(GET NNM_LIBFUZZER 0 NNM_LIBFUZZER)
target_compile_options(nnm PRIVATE -fsanitize-coverage=trace-pc,trace-cmp)
# The callbacks are the program's.
target_link_options(nnm PRIVATE -Wl,--unresolved-symbols=ignore-all)
add_executable(nnm_fuzz ${CMAKE_CURRENT_LIST_DIR}/fuzzer.cpp ${CMAKE_CURRENT_LIST_DIR}/targets.cpp)
target_include_directories(nnm_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/tests)
set_target_properties(nnm_fuzz PROPERTIES ENABLE_EXPORTS ON)
# libFuzzer's own __sanitizer_cov_trace_pc only says that GCC is not supported; the first one counts.
target_link_options(nnm_fuzz PRIVATE -Wl,--allow-multiple-definition)
target_link_libraries(nnm_fuzz PRIVATE nnm nnm_flags ${NNM_LIBFUZZER} Threads::Threads)
