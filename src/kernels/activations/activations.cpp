#include "kernels/activations/activations.h"

namespace quern {

void silu_mul(Isa isa, float* gate, const float* up, int64_t count) {
  if (isa != Isa::scalar) return avx2::silu_mul(gate, up, count);
  for (int64_t i = 0; i < count; ++i) gate[i] = silu(gate[i]) * up[i];
}

void sigmoid_mul(Isa isa, float* x, float scale, const float* gate, int64_t count) {
  if (isa != Isa::scalar) return avx2::sigmoid_mul(x, scale, gate, count);
  for (int64_t i = 0; i < count; ++i) x[i] = x[i] * scale * sigmoid(gate[i]);
}

void add_scaled(Isa isa, float* out, float factor, const float* x, int64_t count) {
  if (isa != Isa::scalar) return avx2::add_scaled(out, factor, x, count);
  for (int64_t i = 0; i < count; ++i) out[i] += factor * x[i];
}

double exp_sum(Isa isa, float* x, float shift, int64_t count) {
  if (isa != Isa::scalar) return avx2::exp_sum(x, shift, count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    x[i] = std::exp(x[i] - shift);
    sum += static_cast<double>(x[i]);
  }
  return sum;
}

}  // namespace quern
