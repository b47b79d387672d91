#pragma once

#include <cub/device/device_radix_sort.cuh>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/embedding/op.hpp>

namespace neuroinhib::ops {

/// An id beyond the table makes its row NaN and is told by Cuda::check.
template <class T>
void forward(Cuda<T>& cuda, const Embedding<T>& op) {
  const Index width = op.y.cols(), words = op.table.rows();
  CudaControl* control = cuda.control();
  cuda.parallel_grid(op.y.rows(), width, [=] __device__(Index row, Index c) {
    const int id = op.ids[row];
    if (id < 0 || id >= words) {
      note_fault(control, CudaFault::id_out_of_range, id, row);
      op.y[row * width + c] = static_cast<T>(NAN);
      return;
    }
    T value = op.scale * op.table[id * width + c];
    if (op.positions.data != nullptr) value += op.positions[(op.first + row % op.length) * width + c];
    op.y[row * width + c] = value;
  });
}

/// Rows sorted by their word, those of one word in their order; rows without one come last, as word `words`.
struct SortedRows {
  const int *words, *rows;
};
template <class T>
[[nodiscard]] SortedRows sort_rows(Cuda<T>& cuda, const View<const int>& ids, Index words) {
  const int count = static_cast<int>(ids.size());
  int* numbers = cuda.template kernel_memory<int>(count);
  int* keys = cuda.template kernel_memory<int>(count);
  int* sorted_ids = cuda.template kernel_memory<int>(count);
  int* sorted_rows = cuda.template kernel_memory<int>(count);
  cuda.parallel_for(count, [=] __device__(Index row) {
    numbers[row] = static_cast<int>(row);
    keys[row] = ids[row] < 0 || ids[row] >= words ? static_cast<int>(words) : ids[row];
  });
  int bits = 1;
  while (bits < 31 && (Index{1} << bits) <= words) ++bits;
  std::size_t bytes = 0;
  const detail::DriverLock lock(detail::driver());
  const auto sort = [&](void* memory) {
    require_cuda(cub::DeviceRadixSort::SortPairs(memory, bytes, keys, sorted_ids, numbers, sorted_rows, count, 0, bits,
                                                 cuda.cuda_stream()),
                 "embedding, sorting rows");
  };
  sort(nullptr);
  sort(cuda.template kernel_memory<unsigned char>(static_cast<Index>(bytes)));
  return {sorted_ids, sorted_rows};
}

template <class T>
void backward(Cuda<T>& cuda, const Embedding<T>& op) {
  const ArenaScope scope(cuda.device_arena());
  const Index width = op.y.cols(), rows = op.y.rows(), words = op.table.rows();
  const T* dy = op.y.gradient;
  if (const auto slot = op.table.claim_gradient()) {
    if (!slot.add) cuda.fill(slot.data, words * width, T{0});
    const SortedRows sorted = sort_rows(cuda, op.ids, words);
    // The first row of each word adds up all of them.
    cuda.parallel_grid(rows, width, [=] __device__(Index place, Index c) {
      const int word = sorted.words[place];
      if (word == words || (place > 0 && sorted.words[place - 1] == word)) return;
      T sum = 0;
      for (Index i = place; i < rows && sorted.words[i] == word; ++i) sum += dy[sorted.rows[i] * width + c];
      slot.data[word * width + c] += op.scale * sum;
    });
  }
  if (const auto slot = op.positions.claim_gradient()) {
    const Index length = op.length, first = op.first, sequences = rows / length;
    cuda.parallel_grid(op.positions.rows(), width, [=] __device__(Index place, Index c) {
      T sum = 0;
      if (place >= first && place < first + length)
        for (Index s = 0; s < sequences; ++s) sum += dy[(s * length + place - first) * width + c];
      slot.put(place * width + c, sum);
    });
  }
}

}  // namespace neuroinhib::ops
