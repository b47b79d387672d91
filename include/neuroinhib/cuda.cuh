#pragma once

/// The front door for CUDA, for .cu files: everything of neuroinhib.hpp, and the same on the GPU.

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/neuroinhib.hpp>
#include <neuroinhib/ops/cuda.cuh>
