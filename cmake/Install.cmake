# cmake --install: the program, the library with its public headers, a CMake package and the recipes. The package can be
# moved as a whole. A program that uses it needs only what public headers name: fmt, spdlog and threads.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(ATHANOR_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/Athanor)
set_target_properties(athanor_program PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

install(TARGETS athanor EXPORT AthanorTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(ATHANOR_HAS_CUDA)
  # Where it was built: a program without it runs on CPUs.
  install(TARGETS athanor_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} OPTIONAL)
endif()
install(TARGETS athanor_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/framework/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/athanor
        FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/kernels DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/athanor
        FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/configs DESTINATION ${CMAKE_INSTALL_DATADIR}/athanor OPTIONAL)

install(EXPORT AthanorTargets NAMESPACE Athanor:: DESTINATION ${ATHANOR_PACKAGE_DIR})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/AthanorConfig.cmake.in
  ${CMAKE_BINARY_DIR}/AthanorConfig.cmake INSTALL_DESTINATION ${ATHANOR_PACKAGE_DIR})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/AthanorConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/AthanorConfig.cmake ${CMAKE_BINARY_DIR}/AthanorConfigVersion.cmake
        DESTINATION ${ATHANOR_PACKAGE_DIR})
