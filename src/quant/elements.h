// The small float types inside MX, NVFP4 and FP8 formats (spec "Quantisation formats", section 1).
//   E2M1  s|ee|m: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and negatives (-0 included, which no encoder writes).
//   E8M0  2^(byte - 127), 255 is NaN.
//   E4M3  s|eeee|mmm, bias 7, largest 448, 0x7F and 0xFF are NaN, no infinities ("fn").
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "quant/rounding.h"

namespace quern::quant {

inline constexpr float kE2m1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

// The nearest code, of two equally near the smaller magnitude, as ggml and MLX have it; saturates at 6. Zero has no sign, NaN gives 0.
inline uint8_t f32_to_e2m1(float value) {
  uint8_t code = 0;
  for (const float middle : {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f})
    code = static_cast<uint8_t>(code + (std::abs(value) > middle));
  return static_cast<uint8_t>(code > 0 && value < 0 ? code | 8 : code);
}

inline float e8m0_to_f32(uint8_t bits) {
  if (bits == 255) return std::numeric_limits<float>::quiet_NaN();
  return bits == 0 ? 0x1p-127f : std::bit_cast<float>(static_cast<uint32_t>(bits) << 23);
}

inline float e4m3_to_f32(uint8_t bits) {
  const uint32_t exponent = bits >> 3 & 15, mantissa = bits & 7;
  float value = std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0)
    value = static_cast<float>(mantissa) * 0x1p-9f;
  else if (exponent < 15 || mantissa < 7)
    value = std::bit_cast<float>((exponent + 120) << 23 | mantissa << 20);
  return bits & 0x80 ? -value : value;
}

// Nearest, ties to even, saturating at 448; NaN stays one.
inline uint8_t f32_to_e4m3(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint8_t>(bits >> 24 & 0x80);
  const uint32_t magnitude_bits = bits & 0x7FFFFFFF;
  const float magnitude = std::bit_cast<float>(magnitude_bits);
  if (magnitude_bits > 0x7F800000) return static_cast<uint8_t>(sign | 0x7F);
  if (magnitude >= 448) return static_cast<uint8_t>(sign | 0x7E);
  if (magnitude < 0x1p-6f) return static_cast<uint8_t>(sign | static_cast<uint8_t>(round_even(magnitude * 512)));
  return static_cast<uint8_t>(sign |
                              static_cast<uint8_t>(((magnitude_bits + 0x7FFFF + (magnitude_bits >> 20 & 1)) >> 20) - (120 << 3)));
}

}  // namespace quern::quant
