#include "kernels/rope/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace quern {

RotaryFrequencies rotary_frequencies(const ModelConfig& config) {
  const double dim = static_cast<double>(config.rotary_dim), base = config.rope_theta;
  const int64_t half = config.rotary_dim / 2;
  RotaryFrequencies out;
  for (int64_t i = 0; i < half; ++i)
    out.inv_freq.push_back(static_cast<float>(1.0 / std::pow(base, 2.0 * static_cast<double>(i) / dim)));
  if (!config.yarn) return out;
  const Yarn& yarn = *config.yarn;
  // The pair that turns `rotations` times over the original context: faster pairs keep their frequency, slower ones are interpolated.
  const auto corrected = [&](double rotations) {
    return dim * std::log(yarn.original_max_position / (rotations * 2 * std::numbers::pi)) / (2 * std::log(base));
  };
  double low = corrected(yarn.beta_fast), high = corrected(yarn.beta_slow);
  if (yarn.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  for (int64_t i = 0; i < half; ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double plain = 1.0 / std::pow(base, 2.0 * static_cast<double>(i) / dim);
    out.inv_freq[static_cast<size_t>(i)] = static_cast<float>(plain / yarn.factor * ramp + plain * (1 - ramp));
  }
  out.attention_factor = static_cast<float>(yarn.attention_scale());
  return out;
}

void rope_cos_sin(std::span<const float> inv_freq, float factor, int64_t position, float* cos, float* sin) {
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const float angle = static_cast<float>(position) * inv_freq[i];
    cos[i] = std::cos(angle) * factor;
    sin[i] = std::sin(angle) * factor;
  }
}

void rope_apply(float* x, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    x[i] = a * cos[i] - b * sin[i];
    x[i + half] = b * cos[i] + a * sin[i];
  }
}

}  // namespace quern
