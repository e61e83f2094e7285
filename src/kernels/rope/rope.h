// Rotary position embedding on the first rotary_dim of a head, pairs (i, i + rotary_dim / 2). Frequencies are plain, or YaRN's as
// transformers computes them (modeling_rope_utils): a ramp between interpolated and original, and a factor on cos and sin.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/config_json.h"

namespace quern {

// inv_freq of the rotary pairs, [rotary_dim / 2], and the factor on cos and sin.
struct RotaryFrequencies {
  std::vector<float> inv_freq;
  float attention_factor = 1;
};
RotaryFrequencies rotary_frequencies(const ModelConfig& config);

// cos, sin [inv_freq.size()] of position * inv_freq, times factor. The angle is an f32 product, as in the reference.
void rope_cos_sin(std::span<const float> inv_freq, float factor, int64_t position, float* cos, float* sin);

// Rotates x[0, 2 * half) in place.
void rope_apply(float* x, const float* cos, const float* sin, int64_t half);

}  // namespace quern
