// int8 activations, and dot products with them against exact sums.
#include <limits>

#include "quant/quant_test.h"

namespace quern {
namespace {

using namespace quant_test;

constexpr double kUnit = 0x1p-24;  // largest relative error of one f32 rounding

float value_of(const Int8Row& row, int64_t i) { return row.scales[i / kActivationBlock] * static_cast<float>(row.codes[i]); }

TEST(Int8Activations, AreWithinHalfAStepAndCarryTheirSums) {
  Random random(1);
  for (const int64_t cols : {1, 16, 31, 32, 33, 100, 256, 300}) {
    Int8Activations x;
    x.resize(3, cols);
    for (int64_t t = 0; t < 3; ++t) {
      std::vector<float> values = normal_weights(random, cols, 1);
      values[static_cast<size_t>(cols / 2)] *= 50;
      x.quantize(t, values.data());
      const Int8Row row = x.row(t);
      for (int64_t i = 0; i < cols; ++i)
        ASSERT_NEAR(value_of(row, i), values[static_cast<size_t>(i)], row.scales[i / kActivationBlock] * 0.5001f)
            << cols << " " << i;
      const int64_t padded = (cols + 31) / 32 * 32;
      for (int64_t i = cols; i < padded; ++i) EXPECT_EQ(row.codes[i], 0);
      for (int64_t s = 0; s < padded / 16; ++s) {
        int sum = 0;
        for (int64_t i = 0; i < 16; ++i) sum += row.codes[16 * s + i];
        EXPECT_EQ(row.sums[s], sum);
      }
    }
  }
}

TEST(Int8Activations, ZerosTinyAndNonFiniteBlocks) {
  std::vector<float> values(128, 0.0f);
  values[33] = 1e-38f;
  values[64] = std::numeric_limits<float>::infinity(), values[65] = 3;
  values[96] = std::numeric_limits<float>::max(), values[97] = -std::numeric_limits<float>::max();
  Int8Activations x;
  x.resize(1, 128);
  x.quantize(0, values.data());
  const Int8Row row = x.row(0);
  EXPECT_EQ(row.scales[0], 0);
  EXPECT_EQ(row.scales[1], 0);
  EXPECT_EQ(row.codes[33], 0);
  EXPECT_TRUE(std::isnan(row.scales[2]));
  EXPECT_EQ(row.codes[65], 0);
  EXPECT_EQ(row.codes[96], 127);
  EXPECT_EQ(row.codes[97], -127);
  const QuantBytes bytes = encode(QuantFormat::q4_0, 1, 128, std::vector<float>(128, 1.0f)).value();
  EXPECT_TRUE(std::isnan(QuantMatrix::make(QuantFormat::q4_0, 1, 128, bytes.parts()).value().dot(0, x, 0)));
}

TEST(QuantDot, IsTheExactSumWithinRoundingOnRandomShapes) {
  Random random(11);
  for (const QuantFormatInfo& info : quant_formats())
    for (int round = 0; round < 6; ++round) {
      const int64_t rows = random.between(1, 4), tokens = random.between(1, 3);
      const int64_t unit = info.partial_blocks ? 1 : info.block_elements;
      const int64_t cols = unit == 1 ? random.between(1, 700) : unit * random.between(1, 1024 / unit);
      SCOPED_TRACE(::testing::Message() << info.name << " " << rows << "x" << cols << " round " << round);
      std::vector<float> weights = normal_weights(random, rows * cols);
      if (round % 2 == 1)
        for (float& w : weights) w = w * 3 + 0.1f;
      const QuantBytes bytes =
          encode(info.format, rows, cols, weights, {.search = round < 3 ? ScaleSearch::full : ScaleSearch::none}).value();
      const QuantMatrix matrix = QuantMatrix::make(info.format, rows, cols, bytes.parts()).value();
      Int8Activations x;
      x.resize(tokens, cols);
      for (int64_t t = 0; t < tokens; ++t) x.quantize(t, normal_weights(random, cols, 2).data());
      std::vector<float> row(static_cast<size_t>(cols)), magnitude(static_cast<size_t>(cols));
      for (int64_t r = 0; r < rows; ++r) {
        matrix.decode_row(r, row.data());
        matrix.magnitude_row(r, magnitude.data());
        for (int64_t t = 0; t < tokens; ++t) {
          double exact = 0, scale = 0;
          for (int64_t i = 0; i < cols; ++i) {
            const double code = x.row(t).codes[i], value = code * static_cast<double>(x.row(t).scales[i / kActivationBlock]);
            exact += static_cast<double>(row[static_cast<size_t>(i)]) * value;
            scale += static_cast<double>(magnitude[static_cast<size_t>(i)]) * std::abs(value);
          }
          // The dot product's own roundings (quant_matrix.h), and two of decoding: of the product and of the sum with the offset.
          ASSERT_NEAR(static_cast<double>(matrix.dot(r, x, t)), exact, static_cast<double>(cols + 6) * kUnit * scale);
        }
      }
    }
}

}  // namespace
}  // namespace quern
