# What `cmake --install` gives: the program with its manual page and completions, the library with
# its plug-in beside it, the public headers, a CMake package and a pkg-config file. Nothing of it
# knows the prefix but nnm.pc, so that all can be moved; nnm.pc takes it from where it lies.
include(CMakePackageConfigHelpers)

# Run paths are relative: the program finds the library, whatever the prefix.
file(RELATIVE_PATH NNM_BIN_TO_LIB /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
set_target_properties(nnm PROPERTIES INSTALL_RPATH "$ORIGIN")
install(TARGETS nnm EXPORT nnmTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET nnm_onednn)
  install(TARGETS nnm_onednn LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(TARGET nnm_cuda AND NOT NNM_CUDA STREQUAL TEST)
  install(TARGETS nnm_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(TARGET nnm_cli)
  set_target_properties(nnm_cli PROPERTIES INSTALL_RPATH "$ORIGIN/${NNM_BIN_TO_LIB}")
  install(TARGETS nnm_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(TARGETS nnm_verbs EXPORT nnmTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

# The manual page and what shells need to complete, as the program itself prints them.
if(TARGET nnm_cli)
  foreach(row "man;nnm.1;man/man1" "completion bash;nnm;bash-completion/completions"
      "completion zsh;_nnm;zsh/site-functions" "completion fish;nnm.fish;fish/vendor_completions.d")
    list(GET row 0 NNM_WORDS)
    list(GET row 1 NNM_FILE)
    list(GET row 2 NNM_PLACE)
    install(CODE "
      execute_process(COMMAND \"$<TARGET_FILE:nnm_cli>\" ${NNM_WORDS}
        OUTPUT_FILE \"${CMAKE_BINARY_DIR}/package/${NNM_FILE}\" COMMAND_ERROR_IS_FATAL ANY)")
    install(FILES ${CMAKE_BINARY_DIR}/package/${NNM_FILE}
      DESTINATION ${CMAKE_INSTALL_DATADIR}/${NNM_PLACE})
  endforeach()
endif()

# nnm/nnm.h, nnm/cli.h and what they include, found when they are installed.
install(CODE "
  set(NNM_SOURCE \"${CMAKE_SOURCE_DIR}\")
  set(NNM_STAGE \"${CMAKE_BINARY_DIR}/include\")
  include(\"${CMAKE_SOURCE_DIR}/lib/public_headers.cmake\")
  file(INSTALL \"${CMAKE_BINARY_DIR}/include/nnm\"
    DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}\")")

set(NNM_PACKAGE ${CMAKE_INSTALL_LIBDIR}/cmake/nnm)
install(EXPORT nnmTargets NAMESPACE nnm:: DESTINATION ${NNM_PACKAGE})
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/package/nnmConfig.cmake @ONLY CONTENT
"# find_package(nnm) gives nnm::nnm, and nnm::cli for programs of one's own with nnm's verbs.
include(CMakeFindDependencyMacro)
find_dependency(fmt)
include(\"\${CMAKE_CURRENT_LIST_DIR}/nnmTargets.cmake\")
")
# Before 1.0 a minor version may break what the one before had.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/nnmConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/nnmConfig.cmake
  ${CMAKE_BINARY_DIR}/package/nnmConfigVersion.cmake DESTINATION ${NNM_PACKAGE})

file(RELATIVE_PATH NNM_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/package/nnm.pc @ONLY CONTENT
"prefix=\${pcfiledir}/@NNM_PC_TO_PREFIX@
libdir=\${prefix}/@CMAKE_INSTALL_LIBDIR@
includedir=\${prefix}/@CMAKE_INSTALL_INCLUDEDIR@

Name: nnm
Description: @PROJECT_DESCRIPTION@
Version: @PROJECT_VERSION@
Requires: fmt
Libs: -L\${libdir} -lnnm
Cflags: -I\${includedir}
")
install(FILES ${CMAKE_BINARY_DIR}/package/nnm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
