// The functions between the matrix products, in f32. The scalar ones go through the C library and are exact to its last bit or two; the
// vector versions of loops over them agree to a few units in the last place, and each element depends on its own inputs alone.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/cpu_features.h"

namespace quern {

inline float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }
inline float silu(float x) { return x / (1.0f + std::exp(-x)); }
// ln(1 + e^x); x itself above 20, where they agree in f32 (the reference switches there too).
inline float softplus(float x) { return x > 20.0f ? x : std::log1p(std::exp(x)); }

// gate = silu(gate) * up, [count] each: SwiGLU.
void silu_mul(Isa isa, float* gate, const float* up, int64_t count);
// x = x * scale * sigmoid(gate), [count] each.
void sigmoid_mul(Isa isa, float* x, float scale, const float* gate, int64_t count);
// out += factor * x, [count] each.
void add_scaled(Isa isa, float* out, float factor, const float* x, int64_t count);
// x = e^(x - shift), [count]; returns their sum, added up in f64.
double exp_sum(Isa isa, float* x, float shift, int64_t count);

namespace avx2 {
void silu_mul(float* gate, const float* up, int64_t count);
void sigmoid_mul(float* x, float scale, const float* gate, int64_t count);
void add_scaled(float* out, float factor, const float* x, int64_t count);
double exp_sum(float* x, float shift, int64_t count);
}  // namespace avx2

}  // namespace quern
