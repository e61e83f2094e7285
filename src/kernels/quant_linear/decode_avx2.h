// Codes and scales as they are stored to those of a panel. Included inside the brackets of an instruction set (kernels/target.h), AVX2 at least,
// so that each file has a copy of its own.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "quant/format.h"
#include "tensor/dtype.h"

namespace quern::panels::avx2 {
namespace {

inline const uint8_t* bytes_at(const std::byte* at) { return reinterpret_cast<const uint8_t*>(at); }

// E2M1 doubled, plus 12.
inline __m256i e2m1(__m256i nibbles) {
  const __m128i table = _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles);
}
// Half of a scale in E8M0, because e2m1 doubles the codes.
inline float half_e8m0(uint8_t byte) {
  const uint32_t bits = byte == 0 ? 0x00400000U : byte == 255 ? 0x7FC00000U : static_cast<uint32_t>(byte) << 23;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value * 0.5f;
}

inline DType scale_dtype(ScaleType type) {
  return type == ScaleType::f32 ? DType::f32 : type == ScaleType::f16 ? DType::f16 : DType::bf16;
}
inline float scale_at(ScaleType type, const std::byte* scales, int64_t i) { return load_f32(scale_dtype(type), scales, i); }

}  // namespace
}  // namespace quern::panels::avx2
