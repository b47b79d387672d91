#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include <neuroinhib/ops/collectives/kernels.hpp>
#include <neuroinhib/ops/ring_attention/op.hpp>

namespace neuroinhib::ops {

/// What flash attention gives for some keys; one pair of token and head after another may take up that of others.
template <class T>
struct FlashResult {
  HeadRows<T> y;        ///< [rows, heads · d_v]
  HeadRows<T> log_sum;  ///< [rows, heads], as the next two
  HeadRows<T> entropy;  ///< in nats
  HeadRows<T> self;     ///< weight of a token on itself

  /// Takes up what `other` says of a row and a head of `width` columns.
  NEUROINHIB_DEVICE void join(const FlashResult& other, Index row, Index h, Index width) const {
    const T a = *log_sum.at(row, h), b = *other.log_sum.at(row, h), largest = a > b ? a : b;
    const T total = largest + std::log(std::exp(a - largest) + std::exp(b - largest));
    const T of_a = std::exp(a - total), of_b = std::exp(b - total);
    for (Index c = 0; c < width; ++c) y.at(row, h)[c] = of_a * y.at(row, h)[c] + of_b * other.y.at(row, h)[c];
    T& together = *entropy.at(row, h);
    together = of_a * (together - (a - total)) + of_b * (*other.entropy.at(row, h) - (b - total));
    *self.at(row, h) *= of_a;
    *log_sum.at(row, h) = total;
  }
};

/// Flash attention of a text that lies over ranks, on any backend, in the place of that of one process: its `local`
/// queries, keys, values and biases are this rank's rows. Made of exchanges and of a backend's loops: copy, attend and
/// attend_back (flash attention of one chunk's queries and one's keys), join, add, pack and put (rows of heads).
template <class Loops, class B, class C, class T>
class RingFlash {
 public:
  /// `name`: of the operation.
  RingFlash(B& backend, const SpreadText<C>& text, const char* name)
      : backend_(backend),
        communicator_(*text.communicator),
        name_(name),
        text_(text),
        chunks_{text.length, communicator_.size()},
        own_(communicator_.rank()) {}

  void forward(const FlashAttention<T>& local) {
    const auto scope = backend_.scope();
    begin(local);
    const Index width = local_.heads * (local_.value_width + 3);
    const Matrix<> q = queries(), all = memory(chunks_.rows_at_work(own_), width), part = memory(all.rows, width);
    (void)pass_keys(false, [&](const Pair& pair, const Matrix<>& keys, const Matrix<>&) {
      // Each chunk of queries meets its own keys before any other.
      Loops::attend(backend_, attention(q, keys, pair, pair.own ? all : part));
      if (!pair.own)
        Loops::join(backend_, results(all, pair.query_row), results(part, pair.query_row), pair.queries, local_.heads,
                    local_.value_width);
    });
    const Matrix<> home = to_home(all);
    const FlashResult<T> here = results(home, 0);
    const auto unpack = [&](const HeadRows<T>& from, Index columns_each, const HeadRows<T>& to) {
      if (to) Loops::pack(backend_, from, home.rows, local_.heads, columns_each, to);
    };
    unpack(here.y, local_.value_width, local_.y);
    unpack(here.log_sum, 1, local_.log_sum);
    unpack(here.entropy, 1, local_.entropy);
    unpack(here.self, 1, local_.self);
  }

  /// Gradients of this rank's rows of `local`, into the slots of `g`.
  void backward(const FlashAttention<T>& local, const FlashGradient<T>& g) {
    const auto scope = backend_.scope();
    begin(local);
    const Index heads = local_.heads, work = chunks_.rows_at_work(own_);
    const Matrix<> q = queries(), given = to_work(packed({g.dy, g.log_sum, g.delta}, {local_.value_width, 1, 1}));
    const Matrix<> dq = cleared(work, q.width), sums = cleared(work, heads), part = memory(work, heads);
    const Matrix<> dkeys = pass_keys(true, [&](const Pair& pair, const Matrix<>& keys, const Matrix<>& dk) {
      FlashGradient<T> of_pair = gradient(g, given, dq, dk, pair);
      if (g.row_sum) of_pair.row_sum = columns(part, 0, 1, pair.query_row);
      Loops::attend_back(backend_, attention(q, keys, pair, {}), of_pair);
      if (g.row_sum) Loops::add(backend_, part.row(pair.query_row), pair.queries * heads, sums.row(pair.query_row));
    });
    if (g.dq) Loops::put(backend_, columns(to_home(dq), 0, local_.key_width), rows(), heads, local_.key_width, g.dq);
    if (g.row_sum) Loops::pack(backend_, columns(to_home(sums), 0, 1), rows(), heads, 1, g.row_sum);
    const Matrix<> home = to_home(dkeys);
    if (g.dk) Loops::put(backend_, keys_of(home, 0), rows(), heads, local_.key_width, g.dk);
    if (g.dv) Loops::put(backend_, values_of(home, 0), rows(), heads, local_.value_width, g.dv);
    if (g.dbias) Loops::put(backend_, biases_of(home, 0), rows(), heads, 1, g.dbias);
  }

 private:
  template <class U = T>
  struct Matrix {
    U* data = nullptr;
    Index rows = 0, width = 0;

    [[nodiscard]] U* row(Index i) const { return data + i * width; }
  };
  /// Rows at work: queries of a chunk and keys, all of which they see; of a chunk's `own` keys those before them.
  struct Pair {
    Index query_row, queries, key_row, keys;
    bool own;
  };

  [[nodiscard]] Index rows() const { return local_.sight.queries; }
  template <class U = T>
  [[nodiscard]] Matrix<U> memory(Index count, Index width) {
    return {backend_.template kernel_memory<U>(count * width), count, width};
  }
  [[nodiscard]] Matrix<> cleared(Index count, Index width) {
    const Matrix<> m = memory(count, width);
    backend_.fill(m.data, count * width, T{0});
    return m;
  }
  /// Columns of all heads from `first` on, `width` for each.
  [[nodiscard]] static HeadRows<T> columns(const Matrix<>& m, Index first, Index width, Index row = 0) {
    return {m.row(row) + first, m.width, width};
  }
  [[nodiscard]] HeadRows<T> keys_of(const Matrix<>& m, Index row) const { return columns(m, 0, local_.key_width, row); }
  [[nodiscard]] HeadRows<T> values_of(const Matrix<>& m, Index row) const {
    return columns(m, local_.heads * local_.key_width, local_.value_width, row);
  }
  [[nodiscard]] HeadRows<T> biases_of(const Matrix<>& m, Index row) const {
    return local_.bias ? columns(m, local_.heads * (local_.key_width + local_.value_width), 1, row) : HeadRows<T>{};
  }
  [[nodiscard]] FlashResult<T> results(const Matrix<>& m, Index row) const {
    const Index behind = local_.heads * local_.value_width;
    return {columns(m, 0, local_.value_width, row), columns(m, behind, 1, row),
            columns(m, behind + local_.heads, 1, row), columns(m, behind + 2 * local_.heads, 1, row)};
  }
  [[nodiscard]] static HeadRows<const T> readable(const HeadRows<T>& rows) {
    return {rows.data, rows.stride, rows.head};
  }

  /// This rank's rows of several, side by side; those without data take no room.
  [[nodiscard]] Matrix<> packed(std::initializer_list<HeadRows<const T>> parts, std::initializer_list<Index> widths) {
    Index width = 0, first = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) width += parts.begin()[i] ? local_.heads * widths.begin()[i] : 0;
    const Matrix<> m = memory(rows(), width);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (!parts.begin()[i]) continue;
      Loops::pack(backend_, parts.begin()[i], rows(), local_.heads, widths.begin()[i],
                  columns(m, first, widths.begin()[i]));
      first += local_.heads * widths.begin()[i];
    }
    return m;
  }
  [[nodiscard]] Matrix<> queries() { return to_work(packed({local_.q}, {local_.key_width})); }
  /// The operation's rows, and their documents.
  void begin(const FlashAttention<T>& local) {
    local_ = local;
    if (text_.documents == nullptr) return;
    const Matrix<int> home = memory<int>(rows(), 1);
    Loops::copy(backend_, text_.document, rows(), home.data);
    documents_ = to_work(home);
  }

  template <class U>
  static Parcel parcel(Index peer, U* data, Index count) {
    return {static_cast<int>(peer), data, static_cast<std::size_t>(count) * sizeof(U)};
  }
  /// The first row at work of a rank's even or odd chunk.
  [[nodiscard]] Index first_row(Index rank, Index half) const {
    return half == 0 ? 0 : chunks_.rows(chunks_.chunk(rank, 0));
  }
  template <class U>
  [[nodiscard]] Matrix<U> to_work(const Matrix<U>& home) {
    const Matrix<U> work = memory<U>(chunks_.rows_at_work(own_), home.width);
    move(home, work, true);
    return work;
  }
  [[nodiscard]] Matrix<> to_home(const Matrix<>& work) {
    const Matrix<> home = memory(rows(), work.width);
    move(home, work, false);
    return home;
  }
  /// First all even chunks, then all odd ones: from each rank one, and to each one.
  template <class U>
  void move(const Matrix<U>& home, const Matrix<U>& work, bool to_work) {
    for (const Index half : {0, 1}) {
      const Index given = 2 * own_ + half, taken = chunks_.chunk(own_, half);
      const Parcel of_home = parcel(chunks_.worker(given), home.row(half == 0 ? 0 : chunks_.rows(2 * own_)),
                                    chunks_.rows(given) * home.width);
      const Parcel of_work = parcel(taken / 2, work.row(first_row(own_, half)), chunks_.rows(taken) * work.width);
      const Parcel &from = to_work ? of_home : of_work, &to = to_work ? of_work : of_home;
      const bool stays = given == taken;
      if (stays)
        Loops::copy(backend_, static_cast<U*>(from.data), chunks_.rows(given) * home.width, static_cast<U*>(to.data));
      communicator_.exchange(backend_, name_, std::span(&from, stays ? 0 : 1), std::span(&to, stays ? 0 : 1));
    }
  }

  /// visit(pair, keys, gradients) for all pairs of chunks of which the queries are at work here. The keys come from the
  /// rank before, and their gradients with them, which are returned when they have been everywhere.
  template <class Visit>
  Matrix<> pass_keys(bool with_gradients, const Visit& visit) {
    const Index ranks = chunks_.ranks, before = (own_ + ranks - 1) % ranks, behind = (own_ + 1) % ranks;
    Index most = 0;
    for (Index r = 0; r < ranks; ++r) most = std::max(most, chunks_.rows_at_work(r));
    const Matrix<> first =
        to_work(packed({local_.k, local_.v, local_.bias}, {local_.key_width, local_.value_width, 1}));
    Matrix<> keys = memory(most, first.width), next = memory(most, first.width), dk, next_dk;
    Loops::copy(backend_, first.data, first.rows * first.width, keys.data);
    if (with_gradients) {
      dk = cleared(most, first.width);
      next_dk = memory(most, first.width);
    }
    for (Index step = 0; step < ranks; ++step) {
      const Index of = (own_ + ranks - step) % ranks, coming = (of + ranks - 1) % ranks;
      const auto out = [&](const Matrix<>& m) { return parcel(behind, m.data, chunks_.rows_at_work(of) * m.width); };
      const auto in = [&](const Matrix<>& m) { return parcel(before, m.data, chunks_.rows_at_work(coming) * m.width); };
      const auto see = [&] { for_each_pair(of, [&](const Pair& pair) { visit(pair, keys, dk); }); };
      if (step + 1 < ranks)
        beside(out(keys), in(next), see);
      else
        see();
      if (with_gradients && ranks > 1) exchange(out(dk), in(next_dk));
      if (step + 1 < ranks) std::swap(keys, next);
      if (ranks > 1) std::swap(dk, next_dk);
    }
    dk.rows = chunks_.rows_at_work(own_);
    return dk;
  }
  /// f(pair) for this rank's queries and the keys that `rank` works with, a chunk's own keys first.
  template <class F>
  void for_each_pair(Index rank, const F& f) const {
    for (const Index half : {Index{0}, Index{1}})
      for (const Index other : {half, 1 - half}) {
        const Index query = chunks_.chunk(own_, half), key = chunks_.chunk(rank, other);
        if (key > query || chunks_.rows(query) == 0) continue;
        Pair pair{first_row(own_, half), chunks_.rows(query), first_row(rank, other), chunks_.rows(key), query == key};
        if (text_.documents != nullptr && !pair.own) within_document(pair, query, key);
        if (pair.queries > 0 && pair.keys > 0) f(pair);
      }
  }
  /// Of the queries of a chunk and the keys of one before it those that see each other: the first of the one and the
  /// last of the other that are of one document, since documents lie one after another.
  void within_document(Pair& pair, Index query, Index key) const {
    const int* const first = text_.documents + chunks_.begin(query);
    const int* const end = text_.documents + chunks_.begin(key) + pair.keys;
    const int document = *first;
    const Index keys = pair.keys;
    pair.queries =
        document < 0 ? 0 : std::find_if(first, first + pair.queries, [&](int d) { return d != document; }) - first;
    pair.keys = 0;
    while (pair.keys < keys && *(end - 1 - pair.keys) == document) ++pair.keys;
    pair.key_row += keys - pair.keys;
  }
  void exchange(const Parcel& out, const Parcel& in) {
    communicator_.exchange(backend_, name_, std::span(&out, 1), std::span(&in, 1));
  }
  /// The same while work() is done, where the communicator can.
  template <class Work>
  void beside(const Parcel& out, const Parcel& in, const Work& work) {
    if constexpr (SideCommunicator<C, B>) {
      communicator_.start(backend_, name_, kRingChannel, std::span(&out, 1), std::span(&in, 1));
      work();
      communicator_.finish(backend_, name_, kRingChannel);
    } else {
      work();
      exchange(out, in);
    }
  }

  [[nodiscard]] FlashAttention<T> attention(const Matrix<>& q, const Matrix<>& keys, const Pair& pair,
                                            const Matrix<>& results_of) const {
    FlashAttention<T> s = local_;
    s.sight = {1, pair.queries, pair.keys, pair.keys, 0, pair.own ? Mask::causal : Mask::none};
    if (pair.own && documents_.data != nullptr) s.sight.document = documents_.row(pair.query_row);
    s.q = readable(columns(q, 0, local_.key_width, pair.query_row));
    s.k = readable(keys_of(keys, pair.key_row));
    s.v = readable(values_of(keys, pair.key_row));
    s.bias = readable(biases_of(keys, pair.key_row));
    const FlashResult<T> r = results_of.data != nullptr ? results(results_of, pair.query_row) : FlashResult<T>{};
    s.y = r.y;
    s.log_sum = r.log_sum;
    s.entropy = r.entropy;
    s.self = pair.own ? r.self : HeadRows<T>{};
    return s;
  }
  /// What is wanted of g, added up in matrices at work; `given` are its rows there.
  [[nodiscard]] FlashGradient<T> gradient(const FlashGradient<T>& g, const Matrix<>& given, const Matrix<>& dq,
                                          const Matrix<>& dk, const Pair& pair) const {
    const Index behind = local_.heads * local_.value_width;
    const auto slot = [](const HeadRows<T>& rows) {
      return HeadSlot<T>(GradientSlot<T>{rows.data, true}, 0, rows.stride, rows.head);
    };
    FlashGradient<T> of_pair;
    of_pair.dy = readable(columns(given, 0, local_.value_width, pair.query_row));
    of_pair.log_sum = readable(columns(given, behind, 1, pair.query_row));
    of_pair.delta = readable(columns(given, behind + local_.heads, 1, pair.query_row));
    of_pair.of_log_sum = g.of_log_sum;
    if (g.dq) of_pair.dq = slot(columns(dq, 0, local_.key_width, pair.query_row));
    if (g.dk) of_pair.dk = slot(keys_of(dk, pair.key_row));
    if (g.dv) of_pair.dv = slot(values_of(dk, pair.key_row));
    if (g.dbias) of_pair.dbias = slot(biases_of(dk, pair.key_row));
    return of_pair;
  }

  B& backend_;
  C& communicator_;
  const char* name_;
  SpreadText<C> text_;
  RingChunks chunks_;
  Index own_;
  FlashAttention<T> local_{};
  Matrix<int> documents_{};  ///< of the rows at work
};

/// CacheAttention on any backend, made of the same loops.
template <class Loops, class B, class T, class C>
void attend_over_caches(B& backend, const CacheAttention<T, C>& op) {
  const auto scope = backend.scope();
  FlashAttention<T> local = op.local.flash();
  const FlashResult<T> target{local.y, local.log_sum, local.entropy, local.self};
  const Index rows = local.rows(), heads = local.heads, d = local.value_width, width = heads * (d + 3);
  C& communicator = *op.communicator;
  T* const all = backend.template kernel_memory<T>(communicator.size() * rows * width);
  const auto block = [&](Index rank) { return View<T>(all + rank * rows * width, Shape{rows * width}); };
  const auto results = [&](Index rank) {
    T* const first = block(rank).data;
    T* const behind = first + heads * d;
    return FlashResult<T>{
        {first, width, d}, {behind, width, 1}, {behind + heads, width, 1}, {behind + 2 * heads, width, 1}};
  };
  const FlashResult<T> own = results(communicator.rank()), joined = results(op.keeper);
  local.y = own.y;
  local.log_sum = own.log_sum;
  local.entropy = own.entropy;
  local.self = own.self;
  Loops::attend(backend, local);
  CollectiveKernels<Loops>::template exchange<T>(
      backend, communicator, op.name, [&](Index) { return block(communicator.rank()); }, block);
  for (Index rank = 0; rank < communicator.size(); ++rank)
    if (rank != op.keeper) Loops::join(backend, joined, results(rank), rows, heads, d);
  const auto unpack = [&](const HeadRows<T>& from, Index columns, const HeadRows<T>& to) {
    Loops::pack(backend, from, rows, heads, columns, to);
  };
  unpack(joined.y, d, target.y);
  unpack(joined.log_sum, 1, target.log_sum);
  unpack(joined.entropy, 1, target.entropy);
  unpack(joined.self, 1, target.self);
}

}  // namespace neuroinhib::ops
