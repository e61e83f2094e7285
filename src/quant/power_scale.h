// Scales that are powers of two (E8M0): the few that can be best are tried.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

#include "quant/search.h"

namespace quern::quant {

// Weighted squared error with this scale; round(v) is the value of the code nearest to v.
template <class Round>
double scaled_error(std::span<const float> x, const float* importance, double scale, Round round) {
  double error = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double value = static_cast<double>(x[i]);
    const double miss = value - static_cast<double>(round(narrowed(value / scale))) * scale;
    error += static_cast<double>(importance[i]) * miss * miss;
  }
  return error;
}

// The exponent of least error in first..last, or `usual` where none is better, all within E8M0's -127..127.
template <class Round>
int best_exponent(std::span<const float> x, const float* importance, int first, int last, int usual, Round round) {
  const auto clamped = [](int exponent) { return std::clamp(exponent, -127, 127); };
  int best = clamped(usual);
  double least = scaled_error(x, importance, std::ldexp(1.0, best), round);
  for (int exponent = first; exponent <= last; ++exponent) {
    const double error = scaled_error(x, importance, std::ldexp(1.0, clamped(exponent)), round);
    if (error < least) least = error, best = clamped(exponent);
  }
  return best;
}

}  // namespace quern::quant
