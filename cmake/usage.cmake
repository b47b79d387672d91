# What a unit that uses the library is compiled with, for targets of this project and for Conan's.

function(neuroinhib_usage target)
  target_compile_features(${target} INTERFACE cxx_std_20)
  # False warnings of GCC 12, which come up in a user's units: of its own AVX-512 intrinsics, called by Eigen (GCC bug
  # 105593), and of std::string's sums (105651).
  target_compile_options(${target} INTERFACE
    "$<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-maybe-uninitialized;-Wno-uninitialized;-Wno-restrict>")
endfunction()

function(neuroinhib_cuda_usage target)
  # CMake 3.25 does not know of nvcc 13 that it has cuda_std_20.
  target_compile_options(${target} INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-std=c++20 --extended-lambda>")
  # False warnings of nvcc: 20012, 20015 of what Eigen 3.4 marks for the device and nvcc need not see; 3189 of the name
  # "module"; 1675 of pragmas for GCC.
  target_compile_options(${target} INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:-diag-suppress=20012,20015,3189,1675>)
  target_link_libraries(${target} INTERFACE CUDA::cudart CUDA::cublas)
endfunction()
