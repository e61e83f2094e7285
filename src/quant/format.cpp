#include "quant/format.h"

#include <array>
#include <string>

#include "base/check.h"

namespace quern {
namespace {

using enum QuantFormat;

constexpr QuantFormatInfo affine(QuantFormat format, std::string_view name, int64_t bits, int64_t group) {
  return {.format = format,
          .name = name,
          .block_elements = group,
          .block_bytes = group * bits / 8,
          .scale_type = ScaleType::bf16,
          .has_biases = true};
}

constexpr QuantFormatInfo ggml(QuantFormat format, std::string_view name, int64_t elements, int64_t bytes, int32_t type) {
  return {.format = format, .name = name, .block_elements = elements, .block_bytes = bytes, .ggml_type = type};
}

constexpr QuantFormatInfo mlx(QuantFormat format, std::string_view name, int64_t elements, int64_t bytes, ScaleType scale) {
  return {.format = format, .name = name, .block_elements = elements, .block_bytes = bytes, .scale_type = scale};
}

constexpr auto kFormats = std::to_array<QuantFormatInfo>({
    ggml(f32, "f32", 1, 4, 0),
    ggml(f16, "f16", 1, 2, 1),
    ggml(bf16, "bf16", 1, 2, 30),
    {.format = fp8_e4m3,
     .name = "fp8",
     .block_elements = 128,
     .block_bytes = 128,
     .scale_type = ScaleType::f32,
     .scale_rows = 128,
     .partial_blocks = true},
    ggml(q8_0, "q8_0", 32, 34, 8),
    ggml(q4_0, "q4_0", 32, 18, 2),
    ggml(q4_1, "q4_1", 32, 20, 3),
    ggml(q5_0, "q5_0", 32, 22, 6),
    ggml(q5_1, "q5_1", 32, 24, 7),
    ggml(iq4_nl, "iq4_nl", 32, 18, 20),
    ggml(mxfp4, "mxfp4", 32, 17, 39),
    ggml(q2_k, "q2_k", 256, 84, 10),
    ggml(q3_k, "q3_k", 256, 110, 11),
    ggml(q4_k, "q4_k", 256, 144, 12),
    ggml(q5_k, "q5_k", 256, 176, 13),
    ggml(q6_k, "q6_k", 256, 210, 14),
    ggml(iq4_xs, "iq4_xs", 256, 136, 23),
    mlx(mlx_mxfp4, "mlx-mxfp4", 32, 16, ScaleType::e8m0),
    mlx(mlx_mxfp8, "mlx-mxfp8", 32, 32, ScaleType::e8m0),
    mlx(mlx_nvfp4, "mlx-nvfp4", 16, 8, ScaleType::e4m3),
    affine(mlx_affine_2_g32, "mlx-affine-2-g32", 2, 32),
    affine(mlx_affine_2_g64, "mlx-affine-2-g64", 2, 64),
    affine(mlx_affine_2_g128, "mlx-affine-2-g128", 2, 128),
    affine(mlx_affine_3_g32, "mlx-affine-3-g32", 3, 32),
    affine(mlx_affine_3_g64, "mlx-affine-3-g64", 3, 64),
    affine(mlx_affine_3_g128, "mlx-affine-3-g128", 3, 128),
    affine(mlx_affine_4_g32, "mlx-affine-4-g32", 4, 32),
    affine(mlx_affine_4_g64, "mlx-affine-4-g64", 4, 64),
    affine(mlx_affine_4_g128, "mlx-affine-4-g128", 4, 128),
    affine(mlx_affine_5_g32, "mlx-affine-5-g32", 5, 32),
    affine(mlx_affine_5_g64, "mlx-affine-5-g64", 5, 64),
    affine(mlx_affine_5_g128, "mlx-affine-5-g128", 5, 128),
    affine(mlx_affine_6_g32, "mlx-affine-6-g32", 6, 32),
    affine(mlx_affine_6_g64, "mlx-affine-6-g64", 6, 64),
    affine(mlx_affine_6_g128, "mlx-affine-6-g128", 6, 128),
    affine(mlx_affine_8_g32, "mlx-affine-8-g32", 8, 32),
    affine(mlx_affine_8_g64, "mlx-affine-8-g64", 8, 64),
    affine(mlx_affine_8_g128, "mlx-affine-8-g128", 8, 128),
});

constexpr bool in_order() {
  for (size_t i = 0; i < kFormats.size(); ++i)
    if (static_cast<size_t>(kFormats[i].format) != i) return false;
  return true;
}
static_assert(in_order(), "kFormats is indexed by QuantFormat");

bool allows(const QuantFormatInfo& info, ScaleType type) {
  if (type == info.scale_type) return true;
  if (info.has_biases) return type == ScaleType::f16 || type == ScaleType::f32;
  return info.format == fp8_e4m3 && type == ScaleType::bf16;
}

// a * b, or -1 past 2^62; neither is negative.
int64_t bounded_product(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) || product > int64_t{1} << 62 ? -1 : product;
}

int64_t divide_up(int64_t a, int64_t b) { return a / b + (a % b != 0); }

}  // namespace

std::string_view scale_type_name(ScaleType type) {
  constexpr std::string_view kNames[] = {"none", "e8m0", "e4m3", "f16", "bf16", "f32"};
  return kNames[static_cast<size_t>(type)];
}

std::span<const QuantFormatInfo> quant_formats() { return kFormats; }

const QuantFormatInfo& quant_format_info(QuantFormat format) {
  const auto index = static_cast<size_t>(format);
  QUERN_CHECK(index < kFormats.size(), index);
  return kFormats[index];
}

Result<QuantFormat> quant_format_by_name(std::string_view name) {
  std::string known;
  for (const QuantFormatInfo& info : kFormats) {
    if (info.name == name) return info.format;
    known += known.empty() ? "" : ", ";
    known += info.name;
  }
  return fail(Errc::invalid_argument, "quantisation format \"{}\" is not one of {}", name, known);
}

Result<QuantFormat> quant_format_of_ggml_type(uint32_t ggml_type) {
  for (const QuantFormatInfo& info : kFormats)
    if (info.ggml_type >= 0 && static_cast<uint32_t>(info.ggml_type) == ggml_type) return info.format;
  return fail(Errc::unsupported, "ggml type {} is not one that quern decodes", ggml_type);
}

Result<QuantFormat> mlx_affine_format(int64_t bits, int64_t group_size) {
  for (const QuantFormatInfo& info : kFormats)
    if (info.has_biases && info.block_elements == group_size && info.block_bytes * 8 == bits * group_size) return info.format;
  return fail(Errc::unsupported,
              "affine quantisation with {} bits in groups of {}, expected 2, 3, 4, 5, 6 or 8 bits and 32, 64 or 128", bits,
              group_size);
}

Result<QuantLayout> quant_layout(QuantFormat format, int64_t rows, int64_t cols, ScaleType scale_type) {
  const QuantFormatInfo& info = quant_format_info(format);
  if (scale_type == ScaleType::none) scale_type = info.scale_type;
  if (rows < 0 || cols < 0) return fail(Errc::invalid_argument, "{}: shape [{}, {}] is negative", info.name, rows, cols);
  if (!allows(info, scale_type))
    return fail(Errc::invalid_argument, "{}: scales of type {}, expected {}", info.name, scale_type_name(scale_type),
                scale_type_name(info.scale_type));
  if (!info.partial_blocks && cols % info.block_elements != 0)
    return fail(Errc::mismatch, "{}: rows of {} weights, expected a multiple of {}", info.name, cols, info.block_elements);
  const int64_t blocks = divide_up(cols, info.block_elements);
  QuantLayout layout;
  layout.row_bytes = info.partial_blocks ? bounded_product(cols, info.block_bytes / info.block_elements)
                                         : bounded_product(blocks, info.block_bytes);
  layout.code_bytes = layout.row_bytes < 0 ? -1 : bounded_product(rows, layout.row_bytes);
  if (scale_type != ScaleType::none) {
    layout.scale_rows = divide_up(rows, info.scale_rows);
    layout.scale_cols = blocks;
    const int64_t scales = bounded_product(layout.scale_rows, layout.scale_cols);
    layout.scale_bytes = scales < 0 ? -1 : bounded_product(scales, scale_type_bytes(scale_type));
  }
  if (layout.code_bytes < 0 || layout.scale_bytes < 0 || bounded_product(rows, cols) < 0)
    return fail(Errc::out_of_range, "{}: shape [{}, {}] has more than 2^62 weights or bytes", info.name, rows, cols);
  return layout;
}

}  // namespace quern
