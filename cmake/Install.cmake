include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS athanor athanor_options EXPORT AthanorTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
