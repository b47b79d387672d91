# What our own tests, examples and benchmarks are compiled with; nothing of it reaches a user's targets.
add_library(neuroinhib_own INTERFACE)
target_link_libraries(neuroinhib_own INTERFACE neuroinhib::neuroinhib)
target_compile_options(neuroinhib_own INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion>)
if(NEUROINHIB_WERROR)
  target_compile_options(neuroinhib_own INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(NEUROINHIB_NATIVE)
  target_compile_options(neuroinhib_own INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=native>)
endif()
# With the tests, the kernels of the CPU are compiled once for all programs (tests/kernels/list.hpp). What is left of
# them needs little optimising, which is most of a unit's time.
if(NEUROINHIB_BUILD_TESTS)
  set(kernels ${PROJECT_SOURCE_DIR}/tests/kernels)
  add_library(neuroinhib_kernels STATIC ${kernels}/products.cpp ${kernels}/attention.cpp ${kernels}/others.cpp)
  target_link_libraries(neuroinhib_kernels PRIVATE neuroinhib_own)
  target_include_directories(neuroinhib_kernels PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  add_library(neuroinhib_own_kernels INTERFACE)
  target_link_libraries(neuroinhib_own_kernels INTERFACE neuroinhib_own neuroinhib_kernels)
  target_compile_options(neuroinhib_own_kernels INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include ${kernels}/cpu.hpp ${NEUROINHIB_BESIDE_KERNELS}>")
endif()
if(NEUROINHIB_HAS_CUDA)
  add_library(neuroinhib_own_cuda INTERFACE)
  target_link_libraries(neuroinhib_own_cuda INTERFACE neuroinhib::cuda)
  target_compile_options(neuroinhib_own_cuda INTERFACE
    $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wshadow,-Wconversion>)
endif()
