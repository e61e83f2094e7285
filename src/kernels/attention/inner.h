// The inner loops of attention, per instruction set: one page, one kv head, the query heads that share it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/cpu_features.h"
#include "kernels/attention/attention.h"

namespace quern {

// The keys or the values of one kv head in a page.
struct KvVectors {
  KvFormat format = KvFormat::f32;
  const std::byte* values = nullptr;  // of position p: values + p * stride, head_dim of them
  int64_t stride = 0;                 // bytes
  const float* scales = nullptr;      // int8: of position p scales[p * scale_stride]
  int64_t scale_stride = 0;
};

struct AttentionInner {
  // scores[h][p] = scale * q[h] . k[p] for `heads` queries, q_stride apart, and positions [0, count).   scores [heads][kKvPagePositions]
  void (*scores)(const KvVectors& k, int64_t count, const float* q, int64_t q_stride, int64_t heads, int64_t head_dim, float scale,
                 float* scores);
  // out[h] = out[h] * factors[h] + sum over p of weights[h][p] v[p], p ascending.   out [heads], out_stride apart
  void (*add_values)(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t heads, int64_t head_dim,
                     float* out, int64_t out_stride);
};

// For head dims that are no multiple of 16 the scalar one, whatever the instruction set. With AVX-512, where the machine has bf16 products
// and head_dim is a multiple of 32, the one that makes them from bf16 pages.
const AttentionInner& attention_inner(Isa isa, int64_t head_dim);

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

}  // namespace quern
