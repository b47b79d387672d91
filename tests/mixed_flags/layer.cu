// The same unit in a .cu file, compiled for the processor by nvcc's host compiler with flags of its own.
#include <neuroinhib/cuda.cuh>

#include "layer.cpp"
