#include "quant/format.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>

#include "base/file.h"

namespace quern {
namespace {

TEST(QuantFormat, NamesAndGgmlTypesLeadBackToTheirFormat) {
  std::set<std::string_view> names;
  for (const QuantFormatInfo& info : quant_formats()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(quant_format_by_name(info.name).value(), info.format);
    EXPECT_EQ(&quant_format_info(info.format), &info);
    if (info.ggml_type >= 0) {
      EXPECT_EQ(quant_format_of_ggml_type(static_cast<uint32_t>(info.ggml_type)).value(), info.format);
    }
    if (info.has_biases) {
      EXPECT_EQ(mlx_affine_format(info.block_bytes * 8 / info.block_elements, info.block_elements).value(), info.format);
    }
  }
}

TEST(QuantFormat, BitsPerWeightCountScalesAndBiases) {
  const auto bits = [](std::string_view name) { return quant_format_info(quant_format_by_name(name).value()).bits_per_weight(); };
  EXPECT_EQ(bits("bf16"), 16);
  EXPECT_EQ(bits("q8_0"), 8.5);
  EXPECT_EQ(bits("q2_k"), 2.625);
  EXPECT_EQ(bits("q3_k"), 3.4375);
  EXPECT_EQ(bits("q4_k"), 4.5);
  EXPECT_EQ(bits("q6_k"), 6.5625);
  EXPECT_EQ(bits("iq4_xs"), 4.25);
  EXPECT_EQ(bits("mxfp4"), 4.25);
  EXPECT_EQ(bits("mlx-mxfp4"), 4.25);
  EXPECT_EQ(bits("mlx-nvfp4"), 4.5);
  EXPECT_EQ(bits("mlx-affine-4-g64"), 4.5);
  EXPECT_EQ(bits("mlx-affine-6-g32"), 7);
  EXPECT_EQ(bits("fp8"), 8 + 32.0 / (128 * 128));
}

TEST(QuantFormat, WhatIsUnknownIsRefusedByName) {
  EXPECT_EQ(quant_format_by_name("q4_9").error().code, Errc::invalid_argument);
  EXPECT_NE(quant_format_by_name("q4_9").error().message.find("\"q4_9\" is not one of f32, f16"), std::string::npos);
  for (const uint32_t type : {4U, 5U, 9U, 16U, 40U, 97U, 0xFFFFFFFFU}) {
    EXPECT_EQ(quant_format_of_ggml_type(type).error().code, Errc::unsupported) << type;
    EXPECT_NE(quant_format_of_ggml_type(type).error().message.find(std::to_string(type)), std::string::npos);
  }
  EXPECT_EQ(mlx_affine_format(7, 64).error().code, Errc::unsupported);
  EXPECT_EQ(mlx_affine_format(4, 16).error().code, Errc::unsupported);
  EXPECT_EQ(mlx_affine_format(-4, -64).error().code, Errc::unsupported);
  EXPECT_EQ(mlx_affine_format(int64_t{1} << 60, int64_t{1} << 60).error().code, Errc::unsupported);
}

TEST(QuantFormat, TheDocumentationHasEveryFormatsRow) {
  const std::string page = read_file(std::string(QUERN_REPO) + "/docs/quantised-formats.md").value();
  for (const QuantFormatInfo& info : quant_formats()) {
    std::string bits = fmt::format("{:.4f}", info.bits_per_weight());
    bits.erase(bits.find_last_not_of('0') + 1);
    if (bits.back() == '.') bits.pop_back();
    const std::string type = info.ggml_type < 0 ? "–" : std::to_string(info.ggml_type);
    const std::string row =
        fmt::format("| `{}` | {} | {} | {} | {} |", info.name, info.block_elements, info.block_bytes, bits, type);
    EXPECT_NE(page.find(row), std::string::npos) << row;
  }
}

TEST(QuantLayout, SizesOfPublishedShapes) {
  const QuantLayout q4_k = quant_layout(QuantFormat::q4_k, 512, 2048).value();
  EXPECT_EQ(q4_k.row_bytes, 8 * 144);
  EXPECT_EQ(q4_k.code_bytes, 512 * 8 * 144);
  EXPECT_EQ(q4_k.scale_bytes, 0);
  const QuantLayout affine = quant_layout(QuantFormat::mlx_affine_4_g64, 151936, 2048).value();
  EXPECT_EQ(affine.row_bytes, 256 * 4);
  EXPECT_EQ(affine.scale_cols, 32);
  EXPECT_EQ(affine.scale_bytes, int64_t{151936} * 32 * 2);
  EXPECT_EQ(quant_layout(QuantFormat::mlx_affine_4_g64, 10, 128, ScaleType::f32).value().scale_bytes, 10 * 2 * 4);
  const QuantLayout fp8 = quant_layout(QuantFormat::fp8_e4m3, 129, 300, ScaleType::bf16).value();
  EXPECT_EQ(fp8.row_bytes, 300);
  EXPECT_EQ(fp8.scale_rows, 2);
  EXPECT_EQ(fp8.scale_cols, 3);
  EXPECT_EQ(fp8.scale_bytes, 2 * 3 * 2);
  EXPECT_EQ(quant_layout(QuantFormat::q6_k, 0, 0).value().code_bytes, 0);
}

TEST(QuantLayout, ShapesThatDoNotFitAreRefused) {
  for (const QuantFormatInfo& info : quant_formats()) {
    EXPECT_EQ(quant_layout(info.format, -1, 256).error().code, Errc::invalid_argument) << info.name;
    EXPECT_EQ(quant_layout(info.format, 1, -256).error().code, Errc::invalid_argument) << info.name;
    EXPECT_EQ(quant_layout(info.format, int64_t{1} << 40, int64_t{1} << 40).error().code, Errc::out_of_range) << info.name;
    EXPECT_EQ(quant_layout(info.format, std::numeric_limits<int64_t>::max(), int64_t{1} << 20).error().code, Errc::out_of_range)
        << info.name;
    EXPECT_EQ(quant_layout(info.format, 1, 256, ScaleType::e8m0).has_value(), info.scale_type == ScaleType::e8m0) << info.name;
    if (info.block_elements > 1 && !info.partial_blocks) {
      for (const int64_t cols : {int64_t{1}, info.block_elements - 1, info.block_elements + 1}) {
        EXPECT_EQ(quant_layout(info.format, 1, cols).error().code, Errc::mismatch) << info.name << " " << cols;
      }
    }
  }
  EXPECT_EQ(quant_layout(QuantFormat::q4_k, 1, 100).error().message, "q4_k: rows of 100 weights, expected a multiple of 256");
  EXPECT_EQ(quant_layout(QuantFormat::mlx_mxfp4, 1, 32, ScaleType::bf16).error().message,
            "mlx-mxfp4: scales of type bf16, expected e8m0");
}

}  // namespace
}  // namespace quern
