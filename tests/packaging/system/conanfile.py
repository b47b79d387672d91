import os

from conan import ConanFile
from conan.tools.files import copy

# The system's packages as Conan's, so that the recipe can be proven without a remote:
#   conan create tests/packaging/system --name eigen --version 3.4.0
PACKAGES = {
    "eigen": {"headers": ["eigen3/*"], "includedirs": ["include/eigen3"], "file": "Eigen3", "target": "Eigen3::Eigen",
              "pc": "eigen3"},
    "nlohmann_json": {"headers": ["nlohmann/*"], "file": "nlohmann_json", "target": "nlohmann_json::nlohmann_json",
                      "pc": "nlohmann_json"},
    "libpng": {"headers": ["png.h", "pngconf.h", "pnglibconf.h"], "libs": ["png"], "file": "PNG", "target": "PNG::PNG",
               "pc": "libpng"},
    "libjpeg-turbo": {"headers": ["jpeglib.h", "jmorecfg.h", "jerror.h", "*/jconfig.h"], "libs": ["jpeg"], "file": "JPEG",
                      "target": "JPEG::JPEG", "pc": "libjpeg"},
    "openmpi": {"folder": "/usr/lib/x86_64-linux-gnu/openmpi/include", "headers": ["*.h"], "libs": ["mpi"], "file": "MPI",
                "target": "MPI::MPI_CXX", "pc": "ompi"},
    "zlib": {"headers": ["zlib.h", "zconf.h"], "libs": ["z"], "file": "ZLIB", "target": "ZLIB::ZLIB", "pc": "zlib"},
}


class SystemConan(ConanFile):
    def package(self):
        for headers in PACKAGES[self.name]["headers"]:
            copy(self, headers, PACKAGES[self.name].get("folder", "/usr/include"), os.path.join(self.package_folder, "include"))

    def package_info(self):
        package = PACKAGES[self.name]
        self.cpp_info.includedirs = package.get("includedirs", ["include"])
        self.cpp_info.system_libs = package.get("libs", [])
        self.cpp_info.bindirs = self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", package["file"])
        self.cpp_info.set_property("cmake_target_name", package["target"])
        self.cpp_info.set_property("pkg_config_name", package["pc"])
