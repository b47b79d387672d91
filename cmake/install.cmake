include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_folder ${CMAKE_INSTALL_DATADIR}/cmake/neuroinhib)
install(TARGETS neuroinhib EXPORT neuroinhib-targets FILE_SET HEADERS)
install(EXPORT neuroinhib-targets NAMESPACE neuroinhib:: DESTINATION ${package_folder})
foreach(component cuda io data)
  install(TARGETS neuroinhib_${component} EXPORT neuroinhib-${component}-targets FILE_SET ${component}_headers)
  install(EXPORT neuroinhib-${component}-targets NAMESPACE neuroinhib:: DESTINATION ${package_folder})
endforeach()
configure_package_config_file(cmake/neuroinhib-config.cmake.in neuroinhib-config.cmake INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(neuroinhib-config-version.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/neuroinhib-config.cmake ${PROJECT_BINARY_DIR}/neuroinhib-config-version.cmake
        DESTINATION ${package_folder})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/neuroinhib)

# pkg_config_file(name requirements): the folders are relative to the file, so that the prefix may move.
file(RELATIVE_PATH include_from_pc ${CMAKE_INSTALL_FULL_DATADIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
function(pkg_config_file name requirements)
  configure_file(cmake/neuroinhib.pc.in ${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
endfunction()
pkg_config_file(neuroinhib "eigen3 >= 3.4")
pkg_config_file(neuroinhib-io "neuroinhib = ${PROJECT_VERSION}, nlohmann_json >= 3.11")
pkg_config_file(neuroinhib-data "neuroinhib = ${PROJECT_VERSION}, zlib")

if(PROJECT_IS_TOP_LEVEL)
  include(cmake/deb.cmake)
endif()
