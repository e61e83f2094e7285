// The scalar functions between the matrix products, in f32 through the C library: exact to its last bit or two, and never a bottleneck
// beside the matrices.
#pragma once

#include <cmath>
#include <cstdint>

namespace quern {

inline float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }
inline float silu(float x) { return x / (1.0f + std::exp(-x)); }
// gate = silu(gate) * up, [count] each: SwiGLU.
inline void silu_mul(float* gate, const float* up, int64_t count) {
  for (int64_t i = 0; i < count; ++i) gate[i] = silu(gate[i]) * up[i];
}
// ln(1 + e^x); x itself above 20, where they agree in f32 (the reference switches there too).
inline float softplus(float x) { return x > 20.0f ? x : std::log1p(std::exp(x)); }

}  // namespace quern
