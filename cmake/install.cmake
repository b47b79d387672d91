include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

install(TARGETS neuroinhib EXPORT neuroinhib-targets FILE_SET HEADERS)
install(EXPORT neuroinhib-targets NAMESPACE neuroinhib:: DESTINATION ${CMAKE_INSTALL_DATADIR}/cmake/neuroinhib)
install(TARGETS neuroinhib_cuda EXPORT neuroinhib-cuda-targets FILE_SET cuda_headers)
install(EXPORT neuroinhib-cuda-targets NAMESPACE neuroinhib:: DESTINATION ${CMAKE_INSTALL_DATADIR}/cmake/neuroinhib)
configure_package_config_file(cmake/neuroinhib-config.cmake.in neuroinhib-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_DATADIR}/cmake/neuroinhib)
write_basic_package_version_file(neuroinhib-config-version.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/neuroinhib-config.cmake ${PROJECT_BINARY_DIR}/neuroinhib-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_DATADIR}/cmake/neuroinhib)
