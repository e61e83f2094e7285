// rms_norm: out = x * rsqrt(mean(x^2) + eps) * weight over the last n values.   x, out [n]; weight [n], effective (1 + w where the
// checkpoint stores it zero-centred). out may alias x. Sums in f64: rows are short beside the matrices, and the order then matters less.
// gated_rms_norm: the same, times silu(z) (DeltaNet's output norm; norm, weight, gate in this order).
// l2_normalise: x = x * rsqrt(sum(x^2) + 1e-6) * scale, in place.
#pragma once

#include <cstdint>

#include "base/cpu_features.h"

namespace quern {

void rms_norm(Isa isa, const float* x, const float* weight, float eps, int64_t n, float* out);
void gated_rms_norm(Isa isa, const float* x, const float* z, const float* weight, float eps, int64_t n, float* out);
void l2_normalise(Isa isa, float* x, int64_t n, float scale);

namespace avx2 {
double sum_of_squares(const float* x, int64_t n);
// out = x * scale * weight, and that times silu(z).
void scale_mul(const float* x, float scale, const float* weight, int64_t n, float* out);
void scale_mul_silu(const float* x, float scale, const float* weight, const float* z, int64_t n, float* out);
}  // namespace avx2

}  // namespace quern
