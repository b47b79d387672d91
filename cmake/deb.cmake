# cpack -G DEB makes libneuroinhib-dev_<version>_all.deb, for Debian and Ubuntu.
set(CPACK_PACKAGE_NAME libneuroinhib-dev)
set(CPACK_PACKAGE_VENDOR "the neuroinhib authors")
set(CPACK_PACKAGE_CONTACT "the neuroinhib authors <neuroinhib@localhost>" CACHE STRING "The Debian package's maintainer")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_GENERATOR DEB)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libeigen3-dev (>= 3.4)")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "nlohmann-json3-dev (>= 3.11), zlib1g-dev")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "cmake (>= 3.25), pkgconf, libpng-dev, libjpeg-dev, nvidia-cuda-toolkit (>= 12)")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"A header-only C++20 library: routers, inhibition, mixes and experts are
policies that combine at compile time. The CPU needs Eigen alone; files of
models need nlohmann-json3-dev, data sets zlib1g-dev, pictures libpng-dev and
libjpeg-dev, and the GPU the CUDA Toolkit.")
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/deb_documents.cmake)
include(CPack)
