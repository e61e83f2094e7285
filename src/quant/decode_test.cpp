// Decoding against what the formats' own implementations give (tests/data/quant) and the spec's vectors.
#include <array>
#include <limits>

#include "quant/quant_test.h"
#include "tensor/dtype.h"

namespace quern {
namespace {

using namespace quant_test;

QuantFormat named(std::string_view name) { return quant_format_by_name(name).value(); }

TEST(QuantDecode, GgmlBlocksAreWhatTheirOwnImplementationSays) {
  int formats = 0;
  for (const QuantFormatInfo& info : quant_formats()) {
    if (info.ggml_type < 0 || info.block_elements == 1 || info.format == QuantFormat::mxfp4) continue;
    const std::vector<std::byte> blocks = read_vector_file(std::string(info.name) + ".bin");
    const std::vector<float> expected = as<float>(read_vector_file(std::string(info.name) + ".f32"));
    const auto cols = static_cast<int64_t>(expected.size()) / 4;
    auto matrix = QuantMatrix::make(info.format, 4, cols, {.codes = blocks});
    ASSERT_TRUE(matrix.has_value()) << matrix.error().message;
    EXPECT_TRUE(same_bits(decode_all(*matrix), expected)) << info.name;
    ++formats;
  }
  EXPECT_EQ(formats, 12);
}

// MLX rounds the affine product to bf16, then the sum, also where it hands out f32 (tests/data/quant/README.md).
TEST(QuantDecode, MlxAffineIsWhatMlxSaysAfterMlxsRoundings) {
  for (const QuantFormatInfo& info : quant_formats()) {
    if (!info.has_biases) continue;
    auto tensors = read_tensors(std::string(info.name) + ".safetensors");
    auto matrix = QuantMatrix::make(info.format, 8, 256,
                                    {.codes = tensors["weight"], .scales = tensors["scales"], .biases = tensors["biases"]});
    ASSERT_TRUE(matrix.has_value()) << matrix.error().message;
    const std::vector<float> got = decode_all(*matrix), expected = as<float>(tensors["dequantized_f32"]);
    const std::vector<uint16_t> biases = as<uint16_t>(tensors["biases"]);
    ASSERT_EQ(got.size(), expected.size());
    // The product is got - bias; with a multiple of the bf16 code both are short enough for f32 to be exact but for one rounding.
    for (size_t i = 0; i < got.size(); ++i) {
      const size_t group = i / static_cast<size_t>(info.block_elements);
      const float scale = bf16_to_f32(as<uint16_t>(tensors["scales"])[group]), bias = bf16_to_f32(biases[group]);
      const float code = std::round((got[i] - bias) / (scale == 0 ? 1 : scale));
      EXPECT_EQ(got[i], scale * code + bias) << info.name << " " << i;
      const float product = bf16_to_f32(f32_to_bf16(scale * code));
      ASSERT_EQ(bf16_to_f32(f32_to_bf16(product + bias)), expected[i]) << info.name << " " << i;
    }
  }
}

TEST(QuantDecode, MlxSmallFloatsAreWhatMlxSays) {
  for (const char* name : {"mlx-mxfp4", "mlx-mxfp8", "mlx-nvfp4"}) {
    auto tensors = read_tensors(std::string(name) + ".safetensors");
    auto matrix = QuantMatrix::make(named(name), 8, 256, {.codes = tensors["weight"], .scales = tensors["scales"]});
    ASSERT_TRUE(matrix.has_value()) << matrix.error().message;
    EXPECT_TRUE(same_bits(decode_all(*matrix), as<float>(tensors["dequantized_f32"]))) << name;
  }
}

// Blocks with d = 0.5, dmin = 0.25 and bytes that count up (spec "Quantisation formats", 4.3).
TEST(QuantDecode, SuperBlocksMatchTheSpecsVectors) {
  struct Case {
    const char* name;
    std::vector<std::pair<int, int>> fields;  // size, kind: 0 scales, 1 codes, 2 high bits, 3 d, 4 dmin, 5 scales_h
    std::array<float, 7> expected;
  };
  const std::array<size_t, 7> at{0, 17, 40, 100, 133, 200, 255};
  const Case cases[] = {
      {"q2_k", {{16, 0}, {64, 1}, {2, 3}, {2, 4}}, {10.5f, -0.5f, -1, 2.25f, -3.5f, 0, -2.75f}},
      {"q3_k", {{32, 2}, {64, 1}, {12, 0}, {2, 3}}, {34.5f, 56, 30, 5, 0, -34.5f, 6}},
      {"q4_k", {{2, 3}, {2, 4}, {12, 0}, {128, 1}}, {23.75f, -14.75f, 48, 40.5f, 22.5f, 29, 53}},
      {"q5_k", {{2, 3}, {2, 4}, {12, 0}, {32, 2}, {128, 1}}, {79.75f, -14.75f, 48, 280.5f, 22.5f, 29, 53}},
      {"q6_k", {{128, 1}, {64, 2}, {16, 0}, {2, 3}}, {-17.5f, 0, 617.5f, -712.5f, -34, -1237.5f, 910}},
      {"iq4_xs", {{2, 3}, {2, 5}, {4, 0}, {128, 1}}, {133, -227.5f, 0, -1695, 759.5f, 65, -55}},
  };
  for (const Case& c : cases) {
    std::vector<std::byte> block;
    for (const auto& [size, kind] : c.fields)
      for (int i = 0; i < size; ++i) {
        const int value = kind == 0   ? 29 * i + 7
                          : kind == 1 ? 37 * i + 11
                          : kind == 2 ? 53 * i + 5
                          : kind == 3 ? 0x3800 >> 8 * i
                          : kind == 4 ? 0x3400 >> 8 * i
                                      : 0x9C3A >> 8 * i;
        block.push_back(static_cast<std::byte>(value & 255));
      }
    const QuantMatrix matrix = QuantMatrix::make(named(c.name), 1, 256, {.codes = block}).value();
    const std::vector<float> got = decode_all(matrix);
    for (size_t i = 0; i < at.size(); ++i) EXPECT_EQ(got[at[i]], c.expected[i]) << c.name << " element " << at[i];
  }
}

// Also where a range begins or ends inside the 128 rows that share FP8's scales.
TEST(QuantDecode, ARangeOfRowsHasTheirWeights) {
  Random random(3);
  for (const char* name : {"fp8", "q8_0", "mlx-affine-4-g64"}) {
    const int64_t rows = 300, cols = 192;
    const std::vector<float> weights = normal_weights(random, rows * cols);
    const QuantBytes bytes = encode(named(name), rows, cols, weights).value();
    const QuantMatrix all = QuantMatrix::make(named(name), rows, cols, bytes.parts()).value();
    const std::vector<float> decoded = decode_all(all);
    for (const auto& [first, count] :
         {std::pair<int64_t, int64_t>{0, 300}, {100, 60}, {128, 128}, {130, 170}, {299, 1}, {300, 0}}) {
      const QuantMatrix range = all.row_range(first, count);
      EXPECT_EQ(range.rows(), count);
      EXPECT_EQ(decode_all(range), std::vector<float>(decoded.begin() + first * cols, decoded.begin() + (first + count) * cols));
      if (count < 50) continue;
      const QuantMatrix inner = range.row_range(37, 13);
      EXPECT_EQ(decode_all(inner),
                std::vector<float>(decoded.begin() + (first + 37) * cols, decoded.begin() + (first + 50) * cols));
    }
  }
}

TEST(QuantDecode, GgmlMxfp4HasTheLowNibblesFirstAndScalesOfEightExponentBits) {
  std::vector<std::byte> block(17);
  for (size_t j = 0; j < 16; ++j) block[1 + j] = static_cast<std::byte>(j | (15 - j) << 4);
  const float levels[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  for (const int scale : {0, 1, 2, 126, 127, 128, 254}) {
    block[0] = static_cast<std::byte>(scale);
    const std::vector<float> got = decode_all(QuantMatrix::make(QuantFormat::mxfp4, 1, 32, {.codes = block}).value());
    for (size_t j = 0; j < 16; ++j) {
      EXPECT_EQ(got[j], std::ldexp(levels[j], scale - 127)) << scale;
      EXPECT_EQ(got[j + 16], std::ldexp(levels[15 - j], scale - 127)) << scale;
    }
  }
  block[0] = static_cast<std::byte>(255);
  for (const float value : decode_all(QuantMatrix::make(QuantFormat::mxfp4, 1, 32, {.codes = block}).value()))
    EXPECT_TRUE(std::isnan(value));
}

TEST(QuantDecode, Fp8ScalesBelongToBlocksOf128By128AndTheLastMayBePartial) {
  constexpr int64_t kRows = 130, kCols = 261;
  std::vector<std::byte> codes(kRows * kCols);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::byte>(i * 7 % 127);
  const float scales[] = {1, 2, 0.25f, -4, 0.5f, 3};  // [2, 3]; 0.25 and all others are bf16 numbers too
  std::vector<uint16_t> short_scales;
  for (const float scale : scales) short_scales.push_back(f32_to_bf16(scale));
  const QuantMatrix matrix =
      QuantMatrix::make(QuantFormat::fp8_e4m3, kRows, kCols, {.codes = codes, .scales = std::as_bytes(std::span(scales))}).value();
  const std::vector<float> got = decode_all(matrix);
  for (int64_t r = 0; r < kRows; ++r)
    for (int64_t c = 0; c < kCols; ++c) {
      const auto code = static_cast<uint32_t>(codes[static_cast<size_t>(r * kCols + c)]);
      const double element =
          code >> 3 ? std::ldexp(1.0 + (code & 7) / 8.0, static_cast<int>(code >> 3) - 7) : std::ldexp(code & 7, -9);
      ASSERT_EQ(static_cast<double>(got[static_cast<size_t>(r * kCols + c)]),
                element * static_cast<double>(scales[r / 128 * 3 + c / 128]));
    }
  const QuantMatrix with_bf16 =
      QuantMatrix::make(QuantFormat::fp8_e4m3, kRows, kCols,
                        {.codes = codes, .scales = std::as_bytes(std::span(short_scales)), .scale_type = ScaleType::bf16})
          .value();
  EXPECT_TRUE(same_bits(decode_all(with_bf16), got));
}

TEST(QuantMatrix, PartsOfTheWrongSizeAreRefusedByName) {
  const std::vector<std::byte> bytes(4096);
  const auto part = [&](size_t size) { return std::span(bytes).first(size); };
  const auto message = [](const Result<QuantMatrix>& result) { return result.error().message; };
  EXPECT_EQ(message(QuantMatrix::make(QuantFormat::q4_k, 2, 256, {.codes = part(287)})), "q4_k: codes of 287 bytes, expected 288");
  EXPECT_EQ(message(QuantMatrix::make(QuantFormat::q4_k, 2, 256, {.codes = part(288), .scales = part(1)})),
            "q4_k: scales of 1 bytes, expected 0");
  EXPECT_EQ(message(QuantMatrix::make(QuantFormat::mlx_affine_4_g32, 1, 64, {.codes = part(32), .scales = part(4)})),
            "mlx-affine-4-g32: biases of 0 bytes, expected 4");
  EXPECT_EQ(message(QuantMatrix::make(QuantFormat::mlx_mxfp4, 1, 64, {.codes = part(32), .scales = part(3)})),
            "mlx-mxfp4: scales of 3 bytes, expected 2");
  EXPECT_EQ(QuantMatrix::make(QuantFormat::q8_0, 1, 31, {.codes = part(34)}).error().code, Errc::mismatch);
  EXPECT_EQ(QuantMatrix::make(QuantFormat::q8_0, -1, 32, {.codes = part(34)}).error().code, Errc::invalid_argument);
}

// No bit pattern is undefined behaviour (the sanitizers watch), and scales that are NaN or infinite show in what is decoded.
TEST(QuantMatrix, AnyBytesDecodeAndMultiply) {
  Random random(5);
  for (const QuantFormatInfo& info : quant_formats()) {
    const int64_t rows = 3, cols = info.block_elements * (info.block_elements == 1 ? 37 : 2);
    const QuantLayout layout = quant_layout(info.format, rows, cols).value();
    Int8Activations x;
    x.resize(1, cols);
    x.quantize(0, normal_weights(random, cols).data());
    for (int round = 0; round < 200; ++round) {
      std::vector<std::byte> codes(static_cast<size_t>(layout.code_bytes)), scales(static_cast<size_t>(layout.scale_bytes));
      const auto fill = [&](std::vector<std::byte>& bytes) {
        for (std::byte& b : bytes)
          b = static_cast<std::byte>(round == 0 ? 0xFF : round == 1 ? 0x7F : round == 2 ? 0 : random.below(256));
      };
      fill(codes), fill(scales);
      const std::vector<std::byte> biases = info.has_biases ? scales : std::vector<std::byte>{};
      const QuantMatrix matrix =
          QuantMatrix::make(info.format, rows, cols, {.codes = codes, .scales = scales, .biases = biases}).value();
      const std::vector<float> got = decode_all(matrix);
      for (int64_t r = 0; r < rows; ++r) matrix.dot(r, x, 0);
      if (round == 0) {
        EXPECT_TRUE(std::isnan(got[0])) << info.name;
      }
    }
  }
}

}  // namespace
}  // namespace quern
