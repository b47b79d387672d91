import os

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, cmake_layout


class Test(ConanFile):
    """The consumer of the other ways, served by Conan: conan create calls this."""

    settings = "os", "arch", "compiler", "build_type"
    generators = "CMakeDeps", "CMakeToolchain"
    default_options = {"neuroinhib/*:with_io": True, "neuroinhib/*:with_data": True,
                       "neuroinhib/*:with_images": True}

    def requirements(self):
        self.requires(self.tested_reference_str)

    def layout(self):
        cmake_layout(self)

    def build(self):
        cmake = CMake(self)
        cmake.configure(build_script_folder=os.path.join("..", "consumer"))
        cmake.build()

    def test(self):
        if can_run(self):
            for program in ("program_consumer", "program_pictures"):
                self.run(os.path.join(self.cpp.build.bindir, program), env="conanrun")
