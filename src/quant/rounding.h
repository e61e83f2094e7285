// Rounding to codes, defined for every float: never a conversion that is undefined.
#pragma once

#include <algorithm>

namespace quern::quant {

// value as the nearest f32; what is too large becomes +-1e38 (a C++ conversion would be undefined), NaN stays one.
inline float narrowed(double value) { return static_cast<float>(std::clamp(value, -1e38, 1e38)); }

// To the nearest integer, ties to even; |value| <= 2^22. Adding 1.5 * 2^23 leaves no bits for a fraction.
inline float round_even(float value) { return (value + 0x1.8p23f) - 0x1.8p23f; }

// The integer in lo..hi nearest to value, ties to even; lo where value is NaN. |lo|, |hi| <= 2^22.
inline float round_within(float value, float lo, float hi) { return value > lo ? (value < hi ? round_even(value) : hi) : lo; }

}  // namespace quern::quant
