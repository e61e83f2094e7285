// What the families of block formats share: a block taken apart into codes, scales and offsets, from which decoding and the dot product
// follow the same way for all of them. A format is a struct F with
//   kElements, kGroup   weights of a block, and of a group that has a scale (and an offset) of its own; kGroup is 16 or a multiple of 32
//   kOffsets            whether groups have offsets (ggml's mins, MLX's biases)
//   Code                int16_t, or float where codes are small floats
//   unpack(row, block, Block<F>&)               any bytes are allowed: scales may come out infinite or NaN
//   encode(x, importance, search, row, block)   kElements finite weights; importance >= 0, one for each, never all zero
//   code(v, scale, offset), value(code), store(codes, row, block)   for error feedback: the code nearest to v, what it stands for before
//                       scale and offset, and the codes of a block, whose scales stay
// Weight e is scale * code + offset, in f32 and in this order, as all the formats' own implementations compute it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "quant/activations.h"
#include "quant/elements.h"
#include "quant/format.h"
#include "quant/quant_matrix.h"
#include "tensor/dtype.h"

namespace quern::quant {

template <class F>
struct Block {
  typename F::Code codes[F::kElements];
  float scales[F::kElements / F::kGroup];
  float offsets[F::kElements / F::kGroup];  // only where F::kOffsets
};

// 32 codes of four bits in 16 bytes, as ggml's blocks of 32 have them: the low nibble of byte j is code j, the high nibble code j + 16.
inline void load_nibbles(const std::byte* at, uint8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    const auto pair = std::to_integer<uint8_t>(at[j]);
    codes[j] = pair & 15, codes[j + 16] = pair >> 4;
  }
}
inline void store_nibbles(std::byte* at, const uint8_t* codes) {
  for (int j = 0; j < 16; ++j) at[j] = static_cast<std::byte>((codes[j] & 15) | (codes[j + 16] & 15) << 4);
}

inline uint8_t load_u8(const std::byte* at) { return std::to_integer<uint8_t>(*at); }
inline float load_f16(const std::byte* at) { return f16_to_f32(load_u16(at)); }
inline void store_u8(std::byte* at, unsigned value) { *at = static_cast<std::byte>(value); }
inline void store_u16(std::byte* at, uint16_t value) { std::memcpy(at, &value, sizeof value); }

// The f16 nearest to value, saturating at the largest finite one: what does not fit is clipped, never infinite.
inline uint16_t f16_saturated(double value) { return f32_to_f16(static_cast<float>(std::clamp(value, -65504.0, 65504.0))); }
// A positive scale in f16 that does not underflow to zero: some scale is better than none.
inline uint16_t f16_scale(double value) {
  const uint16_t bits = f16_saturated(value);
  return value != 0 && (bits & 0x7FFF) == 0 ? static_cast<uint16_t>(bits | 1) : bits;
}

inline float load_scale(ScaleType type, const std::byte* scales, int64_t i) {
  switch (type) {
    case ScaleType::e8m0:
      return e8m0_to_f32(load_u8(scales + i));
    case ScaleType::e4m3:
      return e4m3_to_f32(load_u8(scales + i));
    case ScaleType::f16:
      return load_f32(DType::f16, scales, i);
    case ScaleType::bf16:
      return load_f32(DType::bf16, scales, i);
    case ScaleType::f32:
      return load_f32(DType::f32, scales, i);
    case ScaleType::none:
      break;
  }
  return 1;
}

// value as `type` can hold it: f16, bf16 (saturating at the largest finite value) or f32.
inline float rounded_scale(ScaleType type, double value) {
  if (type == ScaleType::f16) return f16_to_f32(f16_saturated(value));
  constexpr double kLargestBf16 = 0x1.FEp127, kLargestF32 = 0x1.FFFFFEp127;
  if (type == ScaleType::bf16) return bf16_to_f32(f32_to_bf16(static_cast<float>(std::clamp(value, -kLargestBf16, kLargestBf16))));
  return static_cast<float>(std::clamp(value, -kLargestF32, kLargestF32));
}

// value is one that `type` can hold.
inline void store_scale(ScaleType type, std::byte* scales, int64_t i, float value) {
  if (type == ScaleType::f16)
    store_u16(scales + 2 * i, f32_to_f16(value));
  else if (type == ScaleType::bf16)
    store_u16(scales + 2 * i, f32_to_bf16(value));
  else
    std::memcpy(scales + 4 * i, &value, 4);
}

template <class F>
void decode_row(const QuantRow& row, int64_t cols, float* out) {
  Block<F> block;
  for (int64_t b = 0; b < cols / F::kElements; ++b, out += F::kElements) {
    F::unpack(row, b, block);
    for (int64_t e = 0; e < F::kElements; ++e) {
      out[e] = block.scales[e / F::kGroup] * static_cast<float>(block.codes[e]);
      if constexpr (F::kOffsets) out[e] += block.offsets[e / F::kGroup];
    }
  }
}

// |scale * code| + |offset| of each weight: what rounding errors are in proportion to.
template <class F>
void magnitude_row(const QuantRow& row, int64_t cols, float* out) {
  Block<F> block;
  for (int64_t b = 0; b < cols / F::kElements; ++b, out += F::kElements) {
    F::unpack(row, b, block);
    for (int64_t e = 0; e < F::kElements; ++e) {
      out[e] = std::abs(block.scales[e / F::kGroup] * static_cast<float>(block.codes[e]));
      if constexpr (F::kOffsets) out[e] += std::abs(block.offsets[e / F::kGroup]);
    }
  }
}

// Sum over the row of weight * activation. Within a group and a block of activations everything is integers:
//   activation_scale * (scale * sum(code * x) + offset * sum(x))
// Additions are fused with the products before them, as fast kernels have it: they agree with this to the last bit.
template <class F>
float dot_row(const QuantRow& row, int64_t cols, const Int8Row& x) {
  constexpr int64_t kStep = F::kGroup < kActivationBlock ? F::kGroup : kActivationBlock;
  using Sum = std::conditional_t<std::is_same_v<typename F::Code, float>, float, int32_t>;
  Block<F> block;
  float total = 0;
  for (int64_t b = 0; b < cols / F::kElements; ++b) {
    F::unpack(row, b, block);
    for (int64_t e = 0; e < F::kElements; e += kStep) {
      const int64_t at = b * F::kElements + e;
      Sum products = 0;
      for (int64_t i = 0; i < kStep; ++i) products += static_cast<Sum>(block.codes[e + i]) * static_cast<Sum>(x.codes[at + i]);
      float part = block.scales[e / F::kGroup] * static_cast<float>(products);
      if constexpr (F::kOffsets) {
        int32_t sum = 0;
        for (int64_t i = 0; i < kStep; i += 16) sum += x.sums[(at + i) / 16];
        part = std::fma(block.offsets[e / F::kGroup], static_cast<float>(sum), part);
      }
      total = std::fma(x.scales[at / kActivationBlock], part, total);
    }
  }
  return total;
}

// weights [rows, cols]: one row here; importance [cols].
template <class F>
void encode_rows(const float* weights, int64_t /*rows: 1*/, int64_t cols, const float* importance, ScaleSearch search,
                 const MutableQuantRow& row) {
  for (int64_t b = 0; b < cols / F::kElements; ++b) {
    const float* w = importance + b * F::kElements;
    F::encode(weights + b * F::kElements, w, search, row, b);
  }
}

// The codes of a row's first block chosen anew, its scales kept: the errors of earlier weights, against `weights`, go into later ones by
// `factors` (error_feedback.h; a row of them has `stride`). targets: the weights with what comes from earlier blocks.
template <class F>
void encode_codes(const float* weights, const float* targets, const float* factors, int64_t stride, const MutableQuantRow& row) {
  Block<F> block;
  F::unpack({row.codes, row.scales, row.biases, row.scale_type}, 0, block);
  float carried[F::kElements];
  std::copy_n(targets, F::kElements, carried);
  uint8_t codes[F::kElements];
  for (int64_t e = 0; e < F::kElements; ++e) {
    const float scale = block.scales[e / F::kGroup], offset = F::kOffsets ? block.offsets[e / F::kGroup] : 0;
    codes[e] = F::code(carried[e], scale, offset);
    const float error = weights[e] - (scale * F::value(codes[e]) + offset);
    for (int64_t k = e + 1; k < F::kElements; ++k) carried[k] += error * factors[e * stride + k];
  }
  F::store(codes, row, 0);
}

// What a format can do with one row (encode: with the rows that share scales). format_ops (families.h) has one for each format.
struct FormatOps {
  void (*decode)(const QuantRow& row, int64_t cols, float* out) = nullptr;
  void (*magnitude)(const QuantRow& row, int64_t cols, float* out) = nullptr;
  float (*dot)(const QuantRow& row, int64_t cols, const Int8Row& x) = nullptr;
  void (*encode)(const float* weights, int64_t rows, int64_t cols, const float* importance, ScaleSearch search,
                 const MutableQuantRow& row) = nullptr;
  // Of one block; null where a format takes no feedback.
  void (*encode_codes)(const float* weights, const float* targets, const float* factors, int64_t stride,
                       const MutableQuantRow& row) = nullptr;
};

template <class F>
constexpr FormatOps block_ops() {
  return {.decode = decode_row<F>,
          .magnitude = magnitude_row<F>,
          .dot = dot_row<F>,
          .encode = encode_rows<F>,
          .encode_codes = encode_codes<F>};
}

}  // namespace quern::quant
