// rms_norm: out = x * rsqrt(mean(x^2) + eps) * weight over the last n values.   x, out [n]; weight [n], effective (1 + w where the
// checkpoint stores it zero-centred). out may alias x. Sums in f64: rows are short beside the matrices, and the order then matters less.
// gated_rms_norm: the same, times silu(z) (DeltaNet's output norm; norm, weight, gate in this order).
#pragma once

#include <cstdint>

namespace quern {

void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* out);
void gated_rms_norm(const float* x, const float* z, const float* weight, float eps, int64_t n, float* out);

}  // namespace quern
