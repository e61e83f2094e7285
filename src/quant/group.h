// Groups with a scale, or a scale and an offset: codes and errors for given scales, and the choice of scales that are stored in f16.
#pragma once

#include <cmath>
#include <span>

#include "quant/block.h"
#include "quant/search.h"

namespace quern::quant {

// Weights x of a group and what their squared errors cost.
struct Group {
  std::span<const float> x, w;
};

// Index of the level nearest to (x - offset) / scale; any level where scale is 0.
template <class Levels>
int code_of(const Levels& levels, float x, float scale, float offset = 0) {
  return levels.nearest(scale != 0 ? (x - offset) / scale : 0.0f);
}

// Weighted squared error with the nearest codes.
template <class Levels>
double group_error(const Levels& levels, const Group& group, float scale, float offset = 0) {
  const float inverse = scale != 0 ? 1 / scale : 0;
  double error = 0;
  for (size_t i = 0; i < group.x.size(); ++i) {
    const float value = levels.value(levels.nearest((group.x[i] - offset) * inverse));
    const auto miss = static_cast<double>(group.x[i] - (scale * value + offset));
    error += static_cast<double>(group.w[i]) * miss * miss;
  }
  return error;
}

template <class Levels>
void assign_codes(const Levels& levels, std::span<const float> x, float scale, float offset, uint8_t* codes) {
  for (size_t i = 0; i < x.size(); ++i) codes[i] = static_cast<uint8_t>(code_of(levels, x[i], scale, offset));
}

// What error feedback asks of a format F whose codes are indices of F::levels() (block.h).
template <class F>
struct LevelCodes {
  static uint8_t code(float v, float scale, float offset) { return static_cast<uint8_t>(code_of(F::levels(), v, scale, offset)); }
  static float value(uint8_t code) { return F::levels().value(code); }
};

// The reference encoders' scale: the largest magnitude becomes the first level.
template <class Levels>
double reference_scale(const Levels& levels, std::span<const float> x) {
  return static_cast<double>(largest_magnitude(x)) / static_cast<double>(levels.first());
}

// Bits of the f16 scale for a group.
template <class Levels>
uint16_t choose_f16_scale(const Levels& levels, const Group& group, ScaleSearch search) {
  const uint16_t usual = f16_scale(reference_scale(levels, group.x));
  if (search == ScaleSearch::none) return usual;
  const uint16_t found = f16_scale(ScaleWalk().fit_scale(levels, group.x, group.w).scale);
  return group_error(levels, group, f16_to_f32(found)) < group_error(levels, group, f16_to_f32(usual)) ? found : usual;
}

}  // namespace quern::quant
