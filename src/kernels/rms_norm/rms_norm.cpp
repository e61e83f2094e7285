#include "kernels/rms_norm/rms_norm.h"

#include <cmath>

#include "kernels/activations/activations.h"

namespace quern {
namespace {

float inverse_rms(const float* x, float eps, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(n) + static_cast<double>(eps)));
}

}  // namespace

void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* out) {
  const float scale = inverse_rms(x, eps, n);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

void gated_rms_norm(const float* x, const float* z, const float* weight, float eps, int64_t n, float* out) {
  const float scale = inverse_rms(x, eps, n);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i] * silu(z[i]);
}

}  // namespace quern
