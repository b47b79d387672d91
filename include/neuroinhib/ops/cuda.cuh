#pragma once

// All CUDA kernels.
#include <neuroinhib/ops/activation/cuda.cuh>
#include <neuroinhib/ops/auxiliary/cuda.cuh>
#include <neuroinhib/ops/batch_pool/cuda.cuh>
#include <neuroinhib/ops/combine/cuda.cuh>
#include <neuroinhib/ops/conv2d/cuda.cuh>
#include <neuroinhib/ops/cross_entropy/cuda.cuh>
#include <neuroinhib/ops/dropout/cuda.cuh>
#include <neuroinhib/ops/elementwise/cuda.cuh>
#include <neuroinhib/ops/gate/cuda.cuh>
#include <neuroinhib/ops/grouped_linear/cuda.cuh>
#include <neuroinhib/ops/layer_norm/cuda.cuh>
#include <neuroinhib/ops/linear/cuda.cuh>
#include <neuroinhib/ops/max_pool2d/cuda.cuh>
#include <neuroinhib/ops/memory/cuda.cuh>
#include <neuroinhib/ops/normalise/cuda.cuh>
#include <neuroinhib/ops/routing_plan/cuda.cuh>
#include <neuroinhib/ops/softmax/cuda.cuh>
#include <neuroinhib/ops/update/cuda.cuh>
