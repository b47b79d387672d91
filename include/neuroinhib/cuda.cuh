#pragma once

/// The front door for CUDA, for .cu files: all of any_backend.hpp on Cuda<T>. It needs no Eigen. A file that computes
/// on the CPU as well includes neuroinhib.hpp beside it.

#include <neuroinhib/any_backend.hpp>
#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/cuda.cuh>
