import itertools
import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"

# What each component needs beside the library itself; an option with_<name> adds it.
COMPONENTS = {"io": ["nlohmann_json/[>=3.11 <4]"], "data": ["zlib/[>=1.2.11 <2]"],
              "images": ["zlib/[>=1.2.11 <2]", "libpng/[>=1.6 <2]", "libjpeg-turbo/[>=2.1 <4]"],
              "mpi": ["openmpi/[>=4.1 <6]"], "cuda": []}


class NeuroinhibConan(ConanFile):
    name = "neuroinhib"
    description = "Mixture-of-Experts layers with neural inhibition and mutual-inform routing"
    license = "MIT"
    topics = ("mixture-of-experts", "routing", "neural-networks", "cuda", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {f"with_{component}": [True, False] for component in COMPONENTS}
    default_options = {option: False for option in options}
    exports_sources = "include/*", "cmake/usage.cmake", "cmake/conan.cmake", "LICENSE"
    no_copy_source = True
    test_package_folder = "tests/packaging/conan"

    def set_version(self):
        text = load(self, os.path.join(self.recipe_folder, "include", "neuroinhib", "version.hpp"))
        self.version = ".".join(re.findall(r"VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text))

    def layout(self):
        basic_layout(self, src_folder=".")

    def _components(self):
        return {name: needs for name, needs in COMPONENTS.items() if self.options.get_safe(f"with_{name}")}

    def requirements(self):
        for needs in sorted({"eigen/[>=3.4 <6]", *itertools.chain(*self._components().values())}):
            self.requires(needs, transitive_headers=True, transitive_libs=True)

    def validate(self):
        check_min_cppstd(self, 20)
        oldest = {"gcc": 12, "clang": 14}.get(str(self.settings.compiler))
        if oldest is None or int(str(self.settings.compiler.version).split(".")[0]) < oldest:
            raise ConanInvalidConfiguration(
                f"neuroinhib: expected gcc 12 or clang 14 or later, got {self.settings.compiler} "
                f"{self.settings.compiler.version}; choose another compiler in the profile")

    def package(self):
        for pattern, source, target in (("LICENSE", ".", "licenses"), ("*.hpp", "include", "include"),
                                        ("*.cuh", "include", "include"), ("*.cmake", "cmake", "lib/cmake")):
            copy(self, pattern, os.path.join(self.source_folder, source), os.path.join(self.package_folder, target))

    def package_id(self):
        self.info.clear()

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "neuroinhib")
        self.cpp_info.set_property("cmake_build_modules", [os.path.join("lib", "cmake", "conan.cmake")])
        main = self._component("neuroinhib", ["eigen::eigen"])
        main.system_libs = ["pthread"]
        for name, needs in self._components().items():
            packages = [package.split("/")[0] for package in needs]
            self._component(name, ["neuroinhib"] + [f"{package}::{package}" for package in packages])

    def _component(self, name, requires):
        component = self.cpp_info.components[name]
        component.set_property("cmake_target_name", f"neuroinhib::{name}")
        component.set_property("pkg_config_name", "neuroinhib" if name == "neuroinhib" else f"neuroinhib-{name}")
        component.requires = requires
        component.bindirs = component.libdirs = []
        return component
