# Included by the files that Conan's CMakeDeps writes: what its targets do not say by themselves.
include(${CMAKE_CURRENT_LIST_DIR}/usage.cmake)
neuroinhib_usage(neuroinhib::neuroinhib)
if(TARGET neuroinhib::cuda)
  find_package(CUDAToolkit 12 REQUIRED)
  neuroinhib_cuda_usage(neuroinhib::cuda)
endif()
