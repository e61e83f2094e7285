// The storage formats of weight matrices, in one table: names, block sizes, bits per weight, ggml's type ids. Readers of checkpoints, the
// quantiser, `inspect` and the docs all take these facts from here. Bit layouts: spec "Quantisation formats", restated at the top of the
// file of each family (plain, fp8, ggml_blocks, k_quants, iq4, mxfp4, mlx_affine, mlx_float).
//
// Every format cuts a row into blocks of block_elements consecutive weights. ggml's blocks carry their scales inside; MLX and the official
// FP8 checkpoints keep scales (and MLX affine: biases) in tensors of their own, one value a block.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace quern {

enum class QuantFormat : uint8_t {
  // clang-format off
  // One weight a block.
  f32, f16, bf16,
  // Official FP8 checkpoints: a scale for 128 x 128 weights.
  fp8_e4m3,
  // ggml, blocks of 32.
  q8_0, q4_0, q4_1, q5_0, q5_1, iq4_nl, mxfp4,
  // ggml, super-blocks of 256.
  q2_k, q3_k, q4_k, q5_k, q6_k, iq4_xs,
  // MLX, groups of 32, 32 and 16.
  mlx_mxfp4, mlx_mxfp8, mlx_nvfp4,
  // MLX's affine mode: bits, group.
  mlx_affine_2_g32, mlx_affine_2_g64, mlx_affine_2_g128,
  mlx_affine_3_g32, mlx_affine_3_g64, mlx_affine_3_g128,
  mlx_affine_4_g32, mlx_affine_4_g64, mlx_affine_4_g128,
  mlx_affine_5_g32, mlx_affine_5_g64, mlx_affine_5_g128,
  mlx_affine_6_g32, mlx_affine_6_g64, mlx_affine_6_g128,
  mlx_affine_8_g32, mlx_affine_8_g64, mlx_affine_8_g128,
  // clang-format on
};

// Floats without blocks or scales.
constexpr bool is_plain(QuantFormat format) {
  return format == QuantFormat::f32 || format == QuantFormat::f16 || format == QuantFormat::bf16;
}

// How a scale (or bias) in a tensor of its own is stored.
enum class ScaleType : uint8_t { none, e8m0, e4m3, f16, bf16, f32 };

constexpr int64_t scale_type_bytes(ScaleType type) {
  switch (type) {
    case ScaleType::none:
      return 0;
    case ScaleType::e8m0:
    case ScaleType::e4m3:
      return 1;
    case ScaleType::f16:
    case ScaleType::bf16:
      return 2;
    case ScaleType::f32:
      return 4;
  }
  return 0;
}

std::string_view scale_type_name(ScaleType type);

struct QuantFormatInfo {
  QuantFormat format = QuantFormat::f32;
  std::string_view name;                   // "q4_k", "mlx-affine-4-g64"
  int64_t block_elements = 1;              // consecutive weights of a row
  int64_t block_bytes = 0;                 // of a block's codes; in ggml's formats with scales and mins
  ScaleType scale_type = ScaleType::none;  // of the tensor of scales, as the format's own tools write it
  bool has_biases = false;                 // a tensor of biases, of the same type and shape as the scales
  int64_t scale_rows = 1;                  // rows that share a scale
  bool partial_blocks = false;             // whether a row may end inside a block
  int32_t ggml_type = -1;                  // -1: ggml has no such type

  // Of one code, where scales lie in tensors of their own.
  constexpr int64_t code_bits() const { return block_bytes * 8 / block_elements; }
  // Scales and biases included, in the format's own scale type.
  constexpr double bits_per_weight() const {
    const double scale_bits = 8.0 * static_cast<double>(scale_type_bytes(scale_type)) * (has_biases ? 2 : 1);
    return (8.0 * static_cast<double>(block_bytes) + scale_bits / static_cast<double>(scale_rows)) /
           static_cast<double>(block_elements);
  }
};

// All formats, in the order of QuantFormat.
std::span<const QuantFormatInfo> quant_formats();
const QuantFormatInfo& quant_format_info(QuantFormat format);

// Errors: invalid_argument (no format of that name; the message lists them).
Result<QuantFormat> quant_format_by_name(std::string_view name);
// Errors: unsupported (a type id that quern does not decode; the message has the number).
Result<QuantFormat> quant_format_of_ggml_type(uint32_t ggml_type);
// MLX's "affine" mode. Errors: unsupported (bits other than 2, 3, 4, 5, 6, 8; groups other than 32, 64, 128).
Result<QuantFormat> mlx_affine_format(int64_t bits, int64_t group_size);

// Sizes of a matrix [rows, cols]. Codes are [rows, row_bytes], scales and biases [scale_rows, scale_cols], all row-major without gaps.
struct QuantLayout {
  int64_t row_bytes = 0, code_bytes = 0;
  int64_t scale_rows = 0, scale_cols = 0, scale_bytes = 0;  // zero where the format has no tensor of scales
};

// scale_type: none takes the format's own; MLX affine scales may be f16, bf16 or f32, FP8's f32 or bf16.
// Errors: invalid_argument (a negative size, a scale type that the format cannot have), mismatch (cols is no multiple of the block),
// out_of_range (more than 2^62 weights or bytes).
Result<QuantLayout> quant_layout(QuantFormat format, int64_t rows, int64_t cols, ScaleType scale_type = ScaleType::none);

}  // namespace quern
