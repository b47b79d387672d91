# What our own tests, examples and benchmarks are compiled with; nothing of it reaches a user's targets.
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 REQUIRED)
find_package(ZLIB REQUIRED)

add_library(neuroinhib_own INTERFACE)
target_link_libraries(neuroinhib_own INTERFACE neuroinhib::neuroinhib)
target_compile_options(neuroinhib_own INTERFACE -Wall -Wextra -Wpedantic)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 warns of its own AVX-512 intrinsics, called by Eigen (GCC bug 105593), and of std::string's sums (105651).
  target_compile_options(neuroinhib_own INTERFACE -Wno-maybe-uninitialized -Wno-uninitialized -Wno-restrict)
endif()
if(NEUROINHIB_WERROR)
  target_compile_options(neuroinhib_own INTERFACE -Werror)
endif()
if(NEUROINHIB_NATIVE)
  target_compile_options(neuroinhib_own INTERFACE -march=native)
endif()
