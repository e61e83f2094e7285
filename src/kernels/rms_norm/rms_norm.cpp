#include "kernels/rms_norm/rms_norm.h"

#include <cmath>

#include "kernels/activations/activations.h"

namespace quern {
namespace {

double sum_of_squares(Isa isa, const float* x, int64_t n) {
  if (isa != Isa::scalar) return avx2::sum_of_squares(x, n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

float inverse_rms(Isa isa, const float* x, float eps, int64_t n) {
  return static_cast<float>(1.0 / std::sqrt(sum_of_squares(isa, x, n) / static_cast<double>(n) + static_cast<double>(eps)));
}

}  // namespace

void rms_norm(Isa isa, const float* x, const float* weight, float eps, int64_t n, float* out) {
  const float scale = inverse_rms(isa, x, eps, n);
  if (isa != Isa::scalar) return avx2::scale_mul(x, scale, weight, n, out);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

void gated_rms_norm(Isa isa, const float* x, const float* z, const float* weight, float eps, int64_t n, float* out) {
  const float scale = inverse_rms(isa, x, eps, n);
  if (isa != Isa::scalar) return avx2::scale_mul_silu(x, scale, weight, z, n, out);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i] * silu(z[i]);
}

void l2_normalise(Isa isa, float* x, int64_t n, float scale) {
  const auto factor = static_cast<float>(static_cast<double>(scale) / std::sqrt(sum_of_squares(isa, x, n) + 1e-6));
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

}  // namespace quern
