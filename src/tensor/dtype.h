// Element types of stored matrices and their exact conversions. Memory from files has no alignment: loads go through memcpy.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace quern {

enum class DType { f32, f16, bf16 };

constexpr size_t dtype_size(DType dtype) { return dtype == DType::f32 ? 4 : 2; }
constexpr std::string_view dtype_name(DType dtype) { return dtype == DType::f32 ? "f32" : dtype == DType::f16 ? "f16" : "bf16"; }

constexpr float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// Round to nearest even; a NaN stays one.
constexpr uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

constexpr float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16, exponent = bits >> 10 & 31, mantissa = bits & 0x3FF;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000 | mantissa << 13);
  if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  const float subnormal = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -subnormal : subnormal;
}

// Round to nearest even; 65520 and above become infinity, a NaN stays one.
constexpr uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return static_cast<uint16_t>(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
  if (magnitude >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);
  // Below 2^-14 f16 counts in steps of 2^-24, which is the spacing of f32 just above 0.5: the addition does the rounding.
  if (magnitude < 0x38800000)
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3F000000));
  return static_cast<uint16_t>(sign | (magnitude - 0x38000000 + 0xFFF + (magnitude >> 13 & 1)) >> 13);
}

inline uint16_t load_u16(const std::byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return bits;
}

inline float load_f32(DType dtype, const std::byte* data, int64_t i) {
  if (dtype == DType::bf16) return bf16_to_f32(load_u16(data + 2 * i));
  if (dtype == DType::f16) return f16_to_f32(load_u16(data + 2 * i));
  float value;
  std::memcpy(&value, data + 4 * i, sizeof value);
  return value;
}

inline void to_f32(DType dtype, const std::byte* data, float* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = load_f32(dtype, data, i);
}

}  // namespace quern
