#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/conv2d/op.hpp>

namespace neuroinhib::ops {

/// ConvExtents in the integers that kernels compute with.
struct KernelExtents {
  int images, in_height, in_width, in, kernel_height, kernel_width, out, stride, padding;
  int height, width;  ///< before pooling
  int pool, pool_stride, pooled_height, pooled_width;

  explicit KernelExtents(const ConvExtents& e)
      : images(static_cast<int>(e.images)),
        in_height(static_cast<int>(e.in_height)),
        in_width(static_cast<int>(e.in_width)),
        in(static_cast<int>(e.in)),
        kernel_height(static_cast<int>(e.kernel_height)),
        kernel_width(static_cast<int>(e.kernel_width)),
        out(static_cast<int>(e.out)),
        stride(static_cast<int>(e.stride)),
        padding(static_cast<int>(e.padding)),
        height(static_cast<int>(e.height)),
        width(static_cast<int>(e.width)),
        pool(static_cast<int>(e.pool.kernel)),
        pool_stride(static_cast<int>(e.pool.stride)),
        pooled_height(static_cast<int>(e.pool.height)),
        pooled_width(static_cast<int>(e.pool.width)) {}

  NEUROINHIB_DEVICE [[nodiscard]] int padded_height() const { return in_height + 2 * padding; }
  NEUROINHIB_DEVICE [[nodiscard]] int padded_width() const { return in_width + 2 * padding; }
};

}  // namespace neuroinhib::ops
