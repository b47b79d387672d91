#pragma once

#include <climits>
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

/// The rows of each word, linked in their order, found by comparing all rows with each other: a block has 32, a lane
/// each, and its warps the others in turn. Faster than sorting where rows are few.
struct WordLinks {
  static constexpr int kThreads = detail::kThreads, kMax = 16384, kNone = INT_MAX;
  static constexpr std::size_t kSharedBytes = 2 * sizeof(int) * kThreads;

  const int* ids;
  int rows, words;
  int* next;    ///< [rows] the next row of the same word, or kNone
  bool* first;  ///< [rows] whether a row is its word's first; false without a word

  [[nodiscard]] Index blocks() const { return (rows + detail::kWarp - 1) / detail::kWarp; }
  __device__ void operator()(int block, unsigned char* shared) const {
    constexpr int kWarps = kThreads / detail::kWarp;
    const int lane = static_cast<int>(threadIdx.x) % detail::kWarp,
              warp = static_cast<int>(threadIdx.x) / detail::kWarp;
    const int row = block * detail::kWarp + lane, id = row < rows ? ids[row] : -1;
    int before = kNone, after = kNone;
#pragma unroll 8
    for (int other = warp; other < rows; other += kWarps) {
      if (ids[other] != id) continue;
      if (other < row) before = other;
      if (other > row) after = min(after, other);
    }
    int* const befores = reinterpret_cast<int*>(shared);
    int* const afters = befores + kThreads;
    befores[threadIdx.x] = before;
    afters[threadIdx.x] = after;
    __syncthreads();
    if (warp > 0 || row >= rows) return;
    for (int other = 1; other < kWarps; ++other) {
      before = min(before, befores[other * detail::kWarp + lane]);
      after = min(after, afters[other * detail::kWarp + lane]);
    }
    next[row] = after;
    first[row] = before == kNone && id >= 0 && id < words;
  }
};

/// dtable of few rows, and dpositions, in two kernels.
template <class T>
void linked_backward(Cuda<T>& cuda, const Embedding<T>& op) {
  const ArenaScope scope(cuda.device_arena());
  const auto table = op.table.claim_gradient(), positions = op.positions.claim_gradient();
  const Index width = op.y.cols(), rows = op.y.rows(), words = op.table.rows(), length = op.length, from = op.first;
  const T* dy = op.y.gradient;
  const WordLinks links{op.ids.data, table ? static_cast<int>(rows) : 0, static_cast<int>(words),
                        cuda.template kernel_memory<int>(rows), cuda.template kernel_memory<bool>(rows)};
  cuda.launch_together(
      links, detail::elements(table && !table.add ? words * width : 0, [=] __device__(Index i) { table.data[i] = 0; }));
  const auto of_words = detail::elements(table ? rows * width : 0, [=] __device__(Index i) {
    const Index row = i / width, c = i % width;
    if (!links.first[row]) return;
    T sum = 0;
    for (int at = static_cast<int>(row); at != WordLinks::kNone; at = links.next[at]) sum += dy[at * width + c];
    table.data[op.ids[row] * width + c] += op.scale * sum;
  });
  const auto of_places = cuda.template ready_columns<detail::kThreads>(
      rows / length, positions ? op.positions.size() : 0,
      [=] __device__(Index sequence, Index i) {
        const Index place = i / width - from;
        return place >= 0 && place < length ? dy[(sequence * length + place) * width + i % width] : T{0};
      },
      [=] __device__(Index i, T sum) { positions.put(i, sum); });
  cuda.launch_together(of_words, of_places.of_chunks);
  cuda.launch_together(of_places.of_all);
}

template <class T>
void backward(Cuda<T>& cuda, const Embedding<T>& op) {
  if (op.y.rows() <= WordLinks::kMax) return linked_backward(cuda, op);
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
