#include <cstring>

#include "kernels/activations/activations.h"
#include "kernels/attention/inner.h"
#include "tensor/dtype.h"

namespace quern {

const AttentionInner& attention_inner(Isa isa, KvFormat format, int64_t head_dim) {
  if (isa == Isa::scalar || head_dim % 16 != 0) return scalar::attention_inner;
  if (isa == Isa::avx2) return avx2::attention_inner;
  // AMX, too, where tiles do not fit.
  static const bool bf16 = cpu_multiplies_bf16();
  return bf16 && format == KvFormat::bf16 && head_dim % 32 == 0 ? avx512_bf16::attention_inner : avx512::attention_inner;
}

namespace scalar {
namespace {

// Element i of the vector at position p; int8: without its scale.
float element(const KvVectors& from, int64_t p, int64_t i) {
  const std::byte* at = from.values + p * from.stride;
  if (from.format == KvFormat::int8) return static_cast<float>(static_cast<int8_t>(at[i]));
  return load_f32(from.format == KvFormat::bf16 ? DType::bf16 : DType::f32, at, i);
}

void scores(const KvVectors& k, int64_t count, const Queries& q, int64_t head_dim, float scale, float* scores) {
  for (int64_t h = 0; h < q.heads; ++h)
    for (int64_t p = 0; p < count; ++p) {
      float sum = 0;
      for (int64_t i = 0; i < head_dim; ++i) sum += q.values[h * q.stride + i] * element(k, p, i);
      scores[h * kKvPagePositions + p] = sum * (k.scales ? scale * k.scales[p] : scale);
    }
}

float exp_sum_of(float* x, float shift, int64_t count) { return static_cast<float>(exp_sum(Isa::scalar, x, shift, count)); }

void add_values(const KvVectors& v, int64_t count, const float* weights, const float* factors, int64_t heads, int64_t head_dim,
                float* out, int64_t out_stride) {
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < head_dim; ++i) {
      float sum = out[h * out_stride + i] * factors[h];
      for (int64_t p = 0; p < count; ++p) {
        const float weight = weights[h * kKvPagePositions + p];
        sum += (v.scales ? weight * v.scales[p] : weight) * element(v, p, i);
      }
      out[h * out_stride + i] = sum;
    }
}

}  // namespace

const AttentionInner attention_inner{nullptr, scores, soften_rows<highest_of, exp_sum_of>, add_values, nullptr};

}  // namespace scalar
}  // namespace quern
