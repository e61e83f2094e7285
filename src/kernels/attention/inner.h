// What attention is made of, per instruction set: the inner loops over one page, one kv head, the query heads that share it; or,
// where the processor multiplies tiles, all of it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/cpu_features.h"
#include "kernels/attention/attention.h"

namespace quern {

// The keys or the values of one kv head in a page.
struct KvVectors {
  KvFormat format = KvFormat::f32;
  const std::byte* values = nullptr;  // of position p: values + p * stride, head_dim of them
  int64_t stride = 0;                 // bytes
  const float* scales = nullptr;      // int8: of position p scales[p]
  const std::byte* ahead = nullptr;   // values laid out like these that are wanted next, for a loop to prefetch while it computes
};

// One token's query heads of a kv head.
struct Queries {
  const float* values = nullptr;  // of head h: values + h * stride, head_dim of them
  int64_t stride = 0;
  int64_t heads = 0;
  const uint32_t* packed = nullptr;  // what AttentionInner::pack made of them
};

enum class KvPart { key, value };
// The keys or values of one kv head in args.pages[page].
KvVectors kv_vectors(const AttentionArgs& args, int64_t page, KvPart part, int64_t kv_head);

// out of one head = sigmoid(gate) * values / sum.   values [head_dim]
void attention_output(Isa isa, const AttentionArgs& args, int64_t token, int64_t head, const float* values, float sum);

struct AttentionInner {
  // Queries in the order in which scores() likes to read them, once for many pages: packed_size(heads, head_dim) words. nullptr: it reads
  // them as they are.
  void (*pack)(const Queries& q, int64_t head_dim, uint32_t* packed);
  static int64_t packed_size(int64_t heads, int64_t head_dim) { return in_eights(heads) * head_dim / 2; }
  // scale * q . k for positions [0, count) of a page. What it writes, score_size(heads) floats at a line of the cache, is in an order of its
  // own, which soften() turns to weights, which add_values() reads.
  void (*scores)(const KvVectors& k, int64_t count, const Queries& q, int64_t head_dim, float scale, float* scores);
  static int64_t score_size(int64_t heads) { return in_eights(heads) * kKvPagePositions; }
  // A head's weights are e^(score - highest), highest: its highest score so far; sum: of its weights so far; factors: what its earlier ones
  // are to be multiplied by.   highest, sum, factors [heads]
  void (*soften)(int64_t count, int64_t heads, float* scores, float* highest, float* sum, float* factors);
  // out[h] = out[h] * factors[h] + sum over p of weights[h][p] v[p], p ascending.   out [heads], out_stride apart
  void (*add_values)(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t heads, int64_t head_dim,
                     float* out, int64_t out_stride);
  // The dimensions of `size` outputs, whole heads, from the order in which add_values() sums them to the usual one. nullptr: they are.
  void (*order)(float* out, int64_t size);

  static int64_t in_eights(int64_t heads) { return (heads + 7) / 8 * 8; }
};

// For head dims that are no multiple of 16 the scalar one, whatever the instruction set. With AVX-512, where the machine has bf16 products
// and head_dim is a multiple of 32, the one that makes them from bf16 pages.
const AttentionInner& attention_inner(Isa isa, KvFormat format, int64_t head_dim);

// AttentionInner::soften of scores [heads][kKvPagePositions], by the highest of `count` numbers, and by a function that makes each
// e^(x - shift) and returns their sum.
template <float (*highest_of)(const float* x, int64_t count), float (*exp_sum)(float* x, float shift, int64_t count)>
void soften_rows(int64_t count, int64_t heads, float* scores, float* highest, float* sum, float* factors) {
  for (int64_t h = 0; h < heads; ++h) {
    float* const of_head = scores + h * kKvPagePositions;
    const float before = highest[h], now = std::max(before, highest_of(of_head, count));
    if (now == -std::numeric_limits<float>::infinity()) {  // nothing that counts yet
      std::fill_n(of_head, count, 0.0f);
      factors[h] = 1;
      continue;
    }
    factors[h] = std::exp(before - now);  // 0 where nothing was found before
    sum[h] = sum[h] * factors[h] + exp_sum(of_head, now, count);
    highest[h] = now;
  }
}

// The functions of attention.h by tiles.
struct AttentionTiles {
  void (*attention)(const AttentionArgs& args, int64_t begin, int64_t end, int64_t kv_head);
  void (*block)(const AttentionArgs& args, int64_t begin, int64_t end, int64_t kv_head, int64_t block, float* partials,
                int64_t stride);
  void (*join)(const AttentionArgs& args, int64_t token, int64_t block, float* partial, const float* of_block);
};
// Whether tiles hold what these arguments ask for: pages of bf16 or int8, head_dim a multiple of 32.
bool fits_tiles(const AttentionArgs& args);

// For instruction sets without one of their own. What is no number is not the highest: it makes the sum none.
inline float highest_of(const float* scores, int64_t count) {
  float highest = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < count; ++i) highest = scores[i] > highest ? scores[i] : highest;
  return highest;
}

namespace scalar {
extern const AttentionInner attention_inner;
}
namespace avx2 {
extern const AttentionInner attention_inner;
}
namespace avx512 {
extern const AttentionInner attention_inner;
}
namespace avx512_bf16 {
extern const AttentionInner attention_inner;
}
namespace amx {
extern const AttentionTiles attention_tiles;
}

}  // namespace quern
