# The port lies in the library's own repository, and builds what it lies in. In a registry: vcpkg_from_github(…).
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../.." ABSOLUTE)
set(VCPKG_BUILD_TYPE release)  # header-only

# The features bring what the components need; the headers are the same.
vcpkg_cmake_configure(SOURCE_PATH "${SOURCE_PATH}")
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/neuroinhib)
vcpkg_fixup_pkgconfig()
set(VCPKG_POLICY_SKIP_PKGCONFIG_CHECK enabled)  # header-only, but "Libs: -pthread" looks misplaced in share

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
