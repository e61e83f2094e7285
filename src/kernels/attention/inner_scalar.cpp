#include "kernels/attention/inner.h"
#include "tensor/dtype.h"

namespace quern {

const AttentionInner& attention_inner(Isa isa) { return isa == Isa::scalar ? scalar::attention_inner : avx2::attention_inner; }

namespace scalar {
namespace {

float dot(const float* a, const float* b, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}
void axpy(float s, const float* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] += s * x[i];
}
void unpack_bf16(const std::byte* from, int64_t n, float* out) { to_f32(DType::bf16, from, out, n); }
void unpack_int8(const std::byte* from, float scale, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = scale * static_cast<float>(static_cast<int8_t>(from[i]));
}

}  // namespace

const AttentionInner attention_inner{dot, axpy, unpack_bf16, unpack_int8};

}  // namespace scalar
}  // namespace quern
