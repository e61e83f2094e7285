// Attention by tiles, T: AmxTiles or EmulatedTiles (kernels/tiles), over bf16 and int8 pages. Included inside the brackets of an
// instruction set, so that each has a copy of its own.
//
// Columns are queries: query head h of the kv head, of token t, is column t * group + h. Sixteen are a tile's width, and two tiles of
// them are worked on together. A block of positions is attended to in three steps, positions and dimensions being rows:
//   scores   S [positions, 32] = K Q^T   K's rows lie in the pages as a product wants them; queries are packed once for all blocks
//   weights  W = 2^(c S - highest)       lanes are columns: maxima and sums cross none; rows are packed by pairs for the next product
//   values   O [head_dim, 32] = V^T W    V is transposed once for all columns
// What a block finds is joined to what those before it found, also by lanes; `highest` is a binary logarithm here. Queries and weights
// are rounded to bf16; the codes of int8 pages are bf16 exactly, and their scales go to scores and weights.
//
// A column's result does not depend on those beside it: every sum runs over positions, or dimensions, in an order that blocks alone
// fix, and positions that a column does not attend to weigh +0. That is nothing as long as their values are numbers: where they are
// not, tokens are taken one by one.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/attention/exp2_terms.h"
#include "kernels/attention/inner.h"
#include "kernels/scratch.h"
#include "tensor/dtype.h"

namespace quern {
namespace {

// Memory of a thread for one call of attention.
struct TileScratch {
  Scratch queries, found, scores, weights, values, keys, rows;
};

template <class T>
class TileAttention {
 public:
  static void attention(const AttentionArgs& a, int64_t begin, int64_t end, int64_t kv_head) {
    TileAttention all(a, begin, end, kv_head);
    for (int64_t block = 0; block * kBlock < a.first_position + end; ++block) all.add_block(block);
    all.each_column([&](int64_t token, int64_t h, float, float sum, const float* out) {
      attention_output(T::kIsa, a, token, kv_head * a.group() + h, out, sum);
    });
  }

  static void block(const AttentionArgs& a, int64_t begin, int64_t end, int64_t kv_head, int64_t block, float* partials,
                    int64_t stride) {
    TileAttention all(a, begin, end, kv_head);
    all.add_block(block);
    all.each_column([&](int64_t token, int64_t h, float highest, float sum, const float* out) {
      float* partial = partials + (token - begin) * stride;
      partial[h] = highest, partial[a.group() + h] = sum;
      std::copy_n(out, a.head_dim, partial + 2 * a.group() + h * a.head_dim);
    });
  }

  static void join(const AttentionArgs& a, int64_t token, int64_t block, float* partial, const float* of_block) {
    if (block * kBlock > a.first_position + token) return;
    const int64_t group = a.group();
    for (int64_t first = 0; first < group; first += kLanes) {
      const int64_t heads = std::min(kLanes, group - first);
      float highest[kLanes] = {}, sum[kLanes] = {}, top[kLanes] = {}, more[kLanes] = {}, old_factor[kLanes], factor[kLanes];
      std::copy_n(partial + first, heads, highest), std::copy_n(partial + group + first, heads, sum);
      std::copy_n(of_block + first, heads, top), std::copy_n(of_block + group + first, heads, more);
      const Join joined(T::load_lanes(highest), T::load_lanes(top));
      T::store_lanes(old_factor, joined.old_factor), T::store_lanes(factor, joined.factor);
      T::store_lanes(highest, joined.highest);
      T::store_lanes(sum, joined(T::load_lanes(sum), T::load_lanes(more)));
      std::copy_n(highest, heads, partial + first), std::copy_n(sum, heads, partial + group + first);
      for (int64_t h = 0; h < heads; ++h) {
        if (top[h] == kNothing) continue;
        float* out = partial + 2 * group + (first + h) * a.head_dim;
        const float* found = of_block + 2 * group + (first + h) * a.head_dim;
        const Lanes old_factors = T::all(old_factor[h]), factors = T::all(factor[h]);
        for (int64_t i = 0; i < a.head_dim; i += kLanes)
          T::store_lanes(out + i, Join::sum(T::load_lanes(out + i), old_factors, T::load_lanes(found + i), factors));
      }
    }
  }

 private:
  using Lanes = typename T::Lanes;
  static constexpr int64_t kBlock = AttentionArgs::kBlock, kLanes = 16, kWidth = 32;  // columns of one tile, of two
  static constexpr int64_t kStep = 32, kSteps = kBlock / kStep;                       // positions of a product
  static constexpr int64_t kTileBytes = 1024;
  static constexpr float kNothing = -std::numeric_limits<float>::infinity();  // highest, where no position counts

  // 2^x for x <= 0 to 1.3 units in the last place; 0 below -125; 1 for 0.
  // n + r = x with |r| <= 1/2.
  static Lanes exp2(Lanes x) {
    const Lanes n = T::nearest(x), r = T::subtract(x, n);
    Lanes sum = T::all(kExp2First);
    for (const float term : kExp2Others) sum = T::multiply_add(sum, r, T::all(term));
    return T::scaled(sum, n, x);
  }

  // How what a block found, with the highest score `top`, joins what those before found.
  struct Join {
    Lanes top, highest, old_factor, factor;
    Join() = default;
    Join(Lanes old, Lanes top_score) : top(top_score) {
      const Lanes nothing = T::all(kNothing), both = T::higher(old, top);
      highest = T::if_equal(top, nothing, old, both);
      old_factor = exp2(T::subtract(old, both)), factor = exp2(T::subtract(top, both));
    }
    static Lanes sum(Lanes old, Lanes old_factors, Lanes found, Lanes factors) {
      return T::multiply_add(found, factors, T::multiply(old, old_factors));
    }
    Lanes operator()(Lanes old, Lanes found) const {
      return T::if_equal(top, T::all(kNothing), old, sum(old, old_factor, found, factor));
    }
  };

  TileAttention(const AttentionArgs& a, int64_t begin, int64_t end, int64_t kv_head)
      : a_(a), begin_(begin), end_(end), kv_head_(kv_head), columns_((end - begin) * a.group()), memory_(scratch()) {
    tile_count_ = (columns_ + kLanes - 1) / kLanes;
    dim_steps_ = a.head_dim / 32;
    const int64_t width = tile_count_ * kLanes;
    queries_ = memory_.queries.grown<std::byte>(tile_count_ * dim_steps_ * kTileBytes);
    highest_ = memory_.found.grown<float>(width * (2 + a.head_dim) + width);
    sum_ = highest_ + width, out_ = sum_ + width;
    limits_ = reinterpret_cast<int32_t*>(out_ + width * a.head_dim);
    scores_ = memory_.scores.grown<float>(kBlock * kWidth);
    weights_ = memory_.weights.grown<std::byte>(2 * kSteps * kTileBytes);
    values_ = memory_.values.grown<std::byte>(a.head_dim / 16 * kSteps * kTileBytes);
    rows_ = memory_.rows.grown<std::byte>(std::max(kStep * a.head_dim * 2, kLanes * a.head_dim * 4));
    if (a.format == KvFormat::int8) keys_ = memory_.keys.grown<std::byte>(kBlock * a.head_dim * 2);
    std::fill_n(highest_, width, kNothing);
    std::fill_n(sum_, width * (1 + a.head_dim), 0.0f);
    pack_queries();
  }
  static TileScratch& scratch() {
    thread_local TileScratch memory;
    return memory;
  }

  // Columns past the last one are zero queries, whose results nobody reads.
  void pack_queries() {
    for (int64_t tile = 0; tile < tile_count_; ++tile)
      for (int64_t step = 0; step < dim_steps_; ++step) {
        alignas(64) std::byte rounded[kTileBytes] = {};
        for (int64_t c = tile * kLanes; c < std::min((tile + 1) * kLanes, columns_); ++c) {
          const int64_t token = begin_ + c / a_.group(), head = kv_head_ * a_.group() + c % a_.group();
          T::round(a_.q_gate + token * a_.q_stride + head * 2 * a_.head_dim + 32 * step, rounded + (c - tile * kLanes) * 64);
        }
        T::transpose(rounded, 64, queries_ + (tile * dim_steps_ + step) * kTileBytes, 64);
      }
  }

  // Positions of the block that a token attends to.
  int64_t limit(int64_t token) const { return std::clamp(a_.first_position + token + 1 - first_, int64_t{0}, kBlock); }

  void add_block(int64_t block) {
    first_ = block * kBlock;
    const int64_t least = limit(begin_), most = limit(end_ - 1);
    if (most == 0) return;
    if (a_.format == KvFormat::int8) widen_keys(most);
    if (least == most || all_numbers(least, most)) {
      pack_values(most);
      for (int64_t c = 0; c < tile_count_ * kLanes; ++c)
        limits_[c] = static_cast<int32_t>(limit(begin_ + std::min(c, columns_ - 1) / a_.group()));
      attend(0, tile_count_);
      return;
    }
    for (int64_t token = begin_; token < end_; ++token) {
      if (limit(token) == 0) continue;
      pack_values(limit(token));
      const int64_t from = (token - begin_) * a_.group(), to = from + a_.group();
      for (int64_t c = 0; c < tile_count_ * kLanes; ++c) limits_[c] = c >= from && c < to ? static_cast<int32_t>(limit(token)) : 0;
      attend(from / kLanes, (to + kLanes - 1) / kLanes);
    }
  }
  void attend(int64_t from, int64_t to) {
    for (int64_t tile = from; tile < to; tile += 2)
      if (tile + 1 < to)
        attend_tiles<2>(tile);
      else
        attend_tiles<1>(tile);
  }
  template <int tiles>
  void attend_tiles(int64_t tile) {
    const auto [least, most] = std::minmax_element(limits_ + tile * kLanes, limits_ + (tile + tiles) * kLanes);
    if (*most == 0) return;
    Lanes top[tiles];
    const int64_t steps = (*most + kStep - 1) / kStep;
    scores<tiles>(tile, *least, steps, top);
    Lanes sums[tiles];
    weigh<tiles>(*most, steps, top, sums);
    add_values<tiles>(tile, steps, top, sums);
  }

  KvVectors page(KvPart part, int64_t position) const {
    return kv_vectors(a_, (first_ + position) / kKvPagePositions, part, kv_head_);
  }
  // Where a vector of the block lies; int8: its codes.
  static const std::byte* at(const KvVectors& page, int64_t position) {
    return page.values + position % kKvPagePositions * page.stride;
  }
  static float scale_at(const KvVectors& page, int64_t position) { return page.scales[position % kKvPagePositions]; }

  // Whether the values at positions [from, to) of the block are numbers.
  bool all_numbers(int64_t from, int64_t to) const {
    for (int64_t p = from; p < to; ++p) {
      const KvVectors values = page(KvPart::value, p);
      if (a_.format == KvFormat::int8) {
        if (!std::isfinite(scale_at(values, p))) return false;
        continue;
      }
      uint32_t highest = 0;
      for (int64_t i = 0; i < a_.head_dim; ++i) highest = std::max<uint32_t>(highest, load_u16(at(values, p) + 2 * i) & 0x7FFFu);
      if (highest >= 0x7F80u) return false;
    }
    return true;
  }

  void widen(const KvVectors& vectors, int64_t position, std::byte* to) const {
    for (int64_t i = 0; i < a_.head_dim; i += 32) T::widen(at(vectors, position) + i, to + 2 * i);
  }
  // Whole steps of them: codes at positions that nothing was written to are numbers, too.
  void widen_keys(int64_t limit) {
    for (int64_t p = 0; p < (limit + kStep - 1) / kStep * kStep; ++p) widen(page(KvPart::key, p), p, keys_ + p * a_.head_dim * 2);
  }
  // Tile [d][step]: dimensions 16 d .. of the positions of a step. Positions from `limit` on have zeros.
  void pack_values(int64_t limit) {
    const int64_t row_bytes = a_.head_dim * 2;
    for (int64_t step = 0; step * kStep < limit; ++step) {
      const KvVectors values = page(KvPart::value, step * kStep);
      const int64_t count = std::min(kStep, limit - step * kStep);
      const std::byte* from = at(values, step * kStep);
      int64_t stride = values.stride;
      if (a_.format == KvFormat::int8 || count < kStep) {
        for (int64_t p = 0; p < count; ++p)
          if (a_.format == KvFormat::int8)
            widen(values, step * kStep + p, rows_ + p * row_bytes);
          else
            std::memcpy(rows_ + p * row_bytes, from + p * stride, static_cast<size_t>(row_bytes));
        std::memset(rows_ + count * row_bytes, 0, static_cast<size_t>((kStep - count) * row_bytes));
        from = rows_, stride = row_bytes;
      }
      for (int64_t i = 0; i < a_.head_dim; i += 8)
        T::transpose_halves(from + 2 * i, stride, values_ + (i / 16 * kSteps + step) * kTileBytes + i % 16 * 64);
    }
  }

  // Fills scores_, and `top` with each column's highest.
  template <int tiles>
  void scores(int64_t tile, int64_t least, int64_t steps, Lanes (&top)[tiles]) {
    for (Lanes& of_tile : top) of_tile = T::all(kNothing);
    const std::byte* queries = queries_ + tile * dim_steps_ * kTileBytes;
    for (int64_t step = 0; step < steps; ++step) {
      const KvVectors keys = page(KvPart::key, step * kStep);
      if (a_.format == KvFormat::int8)
        multiply_keys<tiles>(keys_ + step * kStep * a_.head_dim * 2, a_.head_dim * 2, queries, scores_ + step * kStep * kWidth);
      else
        multiply_keys<tiles>(at(keys, step * kStep), keys.stride, queries, scores_ + step * kStep * kWidth);
      // Everything that is not plain, into the scores themselves.
      if (a_.format == KvFormat::int8 || least < (step + 1) * kStep) correct<tiles>(tile, step, keys);
      for (int64_t p = step * kStep; p < (step + 1) * kStep; ++p)
        for (int j = 0; j < tiles; ++j) top[j] = T::higher(top[j], T::load_lanes(scores_ + p * kWidth + j * kLanes));
    }
  }
  template <int tiles>
  void multiply_keys(const std::byte* keys, int64_t stride, const std::byte* queries, float* scores) {
    tiles_.template zero<0>(), tiles_.template zero<1>();
    if constexpr (tiles == 2) tiles_.template zero<2>(), tiles_.template zero<3>();
    for (int64_t step = 0; step < dim_steps_; ++step) {
      tiles_.template load<4>(keys + 64 * step, stride);
      tiles_.template load<6>(queries + step * kTileBytes, 64);
      tiles_.template dot_bf16<0, 4, 6>();
      tiles_.template load<5>(keys + 16 * stride + 64 * step, stride);
      tiles_.template dot_bf16<1, 5, 6>();
      if constexpr (tiles == 2) {
        tiles_.template load<7>(queries + (dim_steps_ + step) * kTileBytes, 64);
        tiles_.template dot_bf16<2, 4, 7>();
        tiles_.template dot_bf16<3, 5, 7>();
      }
    }
    tiles_.template store<0>(scores, 4 * kWidth);
    tiles_.template store<1>(scores + 16 * kWidth, 4 * kWidth);
    if constexpr (tiles == 2) {
      tiles_.template store<2>(scores + kLanes, 4 * kWidth);
      tiles_.template store<3>(scores + 16 * kWidth + kLanes, 4 * kWidth);
    }
  }
  // The scales of int8 keys, and nothing at positions that a column does not attend to.
  template <int tiles>
  void correct(int64_t tile, int64_t step, const KvVectors& keys) {
    for (int64_t p = step * kStep; p < (step + 1) * kStep; ++p) {
      const Lanes scale = T::all(keys.scales ? scale_at(keys, p) : 1.0f);
      for (int j = 0; j < tiles; ++j) {
        float* scores = scores_ + p * kWidth + j * kLanes;
        const Lanes scaled = T::multiply(T::load_lanes(scores), scale);
        const auto limits = T::load_counts(limits_ + (tile + j) * kLanes);
        T::store_lanes(scores, T::before(static_cast<int32_t>(p), limits, scaled, T::all(kNothing)));
      }
    }
  }

  // From scores_ to weights_ and their sums; `top` becomes a binary logarithm.
  template <int tiles>
  void weigh(int64_t limit, int64_t steps, Lanes (&top)[tiles], Lanes (&sums)[tiles]) {
    const Lanes factor = T::all(1.44269504f / std::sqrt(static_cast<float>(a_.head_dim))), nothing = T::all(kNothing);
    Lanes minus[tiles], even_sums[tiles], odd_sums[tiles];
    for (int j = 0; j < tiles; ++j) {
      top[j] = T::multiply(top[j], factor);
      minus[j] = T::subtract(T::all(0.0f), T::if_equal(top[j], nothing, T::all(0.0f), top[j]));
      even_sums[j] = odd_sums[j] = T::all(0.0f);
    }
    for (int64_t p = 0; p < steps * kStep; p += 2) {
      float scales[2] = {1, 1};
      if (a_.format == KvFormat::int8) {
        const KvVectors values = page(KvPart::value, p);
        for (int64_t i = 0; i < 2; ++i) scales[i] = p + i < limit ? scale_at(values, p + i) : 0.0f;
      }
      for (int j = 0; j < tiles; ++j) {
        const float* scores = scores_ + p * kWidth + j * kLanes;
        Lanes even = exp2(T::multiply_add(T::load_lanes(scores), factor, minus[j])),
              odd = exp2(T::multiply_add(T::load_lanes(scores + kWidth), factor, minus[j]));
        even_sums[j] = T::add(even_sums[j], even), odd_sums[j] = T::add(odd_sums[j], odd);
        if (a_.format == KvFormat::int8) even = T::multiply(even, T::all(scales[0])), odd = T::multiply(odd, T::all(scales[1]));
        T::pairs(even, odd, weights_ + j * kSteps * kTileBytes + p * 32);
      }
    }
    for (int j = 0; j < tiles; ++j) sums[j] = T::add(even_sums[j], odd_sums[j]);
  }

  template <int tiles>
  void add_values(int64_t tile, int64_t steps, const Lanes (&top)[tiles], const Lanes (&sums)[tiles]) {
    Join joins[tiles];
    for (int j = 0; j < tiles; ++j) {
      float *const highest = highest_ + (tile + j) * kLanes, *const sum = sum_ + (tile + j) * kLanes;
      joins[j] = Join(T::load_lanes(highest), top[j]);
      T::store_lanes(highest, joins[j].highest);
      T::store_lanes(sum, joins[j](T::load_lanes(sum), sums[j]));
    }
    for (int64_t d = 0; d < dim_steps_; ++d) {
      alignas(64) float found[tiles][32 * kLanes];
      multiply_values<tiles>(values_ + 2 * d * kSteps * kTileBytes, steps, found);
      for (int j = 0; j < tiles; ++j) {
        float* out = out_ + ((tile + j) * a_.head_dim + 32 * d) * kLanes;
        // + 0: a sum of nothing but tiny negative products is -0, and would be +0 after one more position that weighs nothing.
        for (int64_t i = 0; i < 32 * kLanes; i += kLanes)
          T::store_lanes(out + i, joins[j](T::load_lanes(out + i), T::add(T::load_lanes(found[j] + i), T::all(0.0f))));
      }
    }
  }
  // 32 dimensions. found [tiles][32][16]
  template <int tiles>
  void multiply_values(const std::byte* values, int64_t steps, float (&found)[tiles][32 * kLanes]) {
    tiles_.template zero<0>(), tiles_.template zero<1>();
    if constexpr (tiles == 2) tiles_.template zero<2>(), tiles_.template zero<3>();
    for (int64_t step = 0; step < steps; ++step) {
      tiles_.template load<4>(values + step * kTileBytes, 64);
      tiles_.template load<6>(weights_ + step * kTileBytes, 64);
      tiles_.template dot_bf16<0, 4, 6>();
      tiles_.template load<5>(values + (kSteps + step) * kTileBytes, 64);
      tiles_.template dot_bf16<1, 5, 6>();
      if constexpr (tiles == 2) {
        tiles_.template load<7>(weights_ + (kSteps + step) * kTileBytes, 64);
        tiles_.template dot_bf16<2, 4, 7>();
        tiles_.template dot_bf16<3, 5, 7>();
      }
    }
    tiles_.template store<0>(found[0], 4 * kLanes);
    tiles_.template store<1>(found[0] + 16 * kLanes, 4 * kLanes);
    if constexpr (tiles == 2) {
      tiles_.template store<2>(found[1], 4 * kLanes);
      tiles_.template store<3>(found[1] + 16 * kLanes, 4 * kLanes);
    }
  }

  // each(token, head of the group, highest, sum, out [head_dim]) for what all blocks so far found.
  template <class Each>
  void each_column(Each each) {
    auto* const rows = reinterpret_cast<float*>(rows_);  // [16, head_dim]
    for (int64_t tile = 0; tile < tile_count_; ++tile) {
      for (int64_t i = 0; i < a_.head_dim; i += 16)
        T::transpose(out_ + (tile * a_.head_dim + i) * kLanes, 4 * kLanes, rows + i, 4 * a_.head_dim);
      for (int64_t c = tile * kLanes; c < std::min((tile + 1) * kLanes, columns_); ++c)
        each(begin_ + c / a_.group(), c % a_.group(), highest_[c], sum_[c], rows + c % kLanes * a_.head_dim);
    }
  }

  const AttentionArgs& a_;
  int64_t begin_, end_, kv_head_, columns_, tile_count_ = 0, dim_steps_ = 0, first_ = 0;  // first_: position of the block
  TileScratch& memory_;
  T tiles_;
  std::byte* queries_ = nullptr;                                // tile [tiles of columns][head_dim / 32]: pairs of dimensions
  float *highest_ = nullptr, *sum_ = nullptr, *out_ = nullptr;  // [tiles][16], out [tiles][head_dim][16]
  int32_t* limits_ = nullptr;                                   // [tiles][16]: positions of the block that a column attends to
  float* scores_ = nullptr;                                     // [positions][32]
  std::byte *weights_ = nullptr, *values_ = nullptr;            // tile [2][steps]: pairs of positions; tile [head_dim / 16][steps]
  std::byte *keys_ = nullptr, *rows_ = nullptr;                 // int8: keys in bf16 [positions][head_dim]; some rows of anything
};

}  // namespace
}  // namespace quern
