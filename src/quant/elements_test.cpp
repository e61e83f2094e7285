#include "quant/elements.h"

#include <gtest/gtest.h>

#include <vector>

namespace quern::quant {
namespace {

TEST(E4m3, EveryCodeIsItsFormula) {
  for (unsigned code = 0; code < 256; ++code) {
    const float got = e4m3_to_f32(static_cast<uint8_t>(code));
    const unsigned exponent = code >> 3 & 15, mantissa = code & 7;
    EXPECT_EQ(std::signbit(got), code >= 128) << code;
    if (exponent == 15 && mantissa == 7) {
      EXPECT_TRUE(std::isnan(got)) << code;
    } else {
      const double magnitude = exponent == 0 ? mantissa / 512.0 : (1 + mantissa / 8.0) * std::exp2(static_cast<int>(exponent) - 7);
      EXPECT_EQ(std::abs(static_cast<double>(got)), magnitude) << code;
    }
  }
}

TEST(E4m3, RoundsToTheNearestTiesToEvenAndSaturates) {
  for (unsigned code = 0; code < 0x7E; ++code) {
    const float low = e4m3_to_f32(static_cast<uint8_t>(code)), high = e4m3_to_f32(static_cast<uint8_t>(code + 1));
    const float middle = (low + high) / 2;
    for (const float sign : {1.0f, -1.0f}) {
      const unsigned bit = sign < 0 ? 0x80 : 0;
      EXPECT_EQ(f32_to_e4m3(sign * low), code | bit);
      EXPECT_EQ(f32_to_e4m3(sign * middle), (code % 2 == 0 ? code : code + 1) | bit);
      EXPECT_EQ(f32_to_e4m3(sign * std::nextafter(middle, 0.0f)), code | bit);
      EXPECT_EQ(f32_to_e4m3(sign * std::nextafter(middle, 1e9f)), (code + 1) | bit);
    }
  }
  EXPECT_EQ(f32_to_e4m3(1e30f), 0x7E);
  EXPECT_EQ(f32_to_e4m3(-std::numeric_limits<float>::infinity()), 0xFE);
  EXPECT_EQ(f32_to_e4m3(std::numeric_limits<float>::quiet_NaN()), 0x7F);
  EXPECT_EQ(f32_to_e4m3(1e-30f), 0);
}

TEST(E2m1, RoundsToTheNearestAndTiesToTheSmallerMagnitude) {
  for (unsigned code = 0; code < 7; ++code) {
    const float middle = (kE2m1[code] + kE2m1[code + 1]) / 2;
    EXPECT_EQ(f32_to_e2m1(kE2m1[code]), code);
    EXPECT_EQ(f32_to_e2m1(middle), code);
    EXPECT_EQ(f32_to_e2m1(-middle), code == 0 ? 0 : code | 8);
    EXPECT_EQ(f32_to_e2m1(std::nextafter(middle, 9.0f)), code + 1);
    EXPECT_EQ(f32_to_e2m1(-std::nextafter(middle, 9.0f)), (code + 1) | 8);
  }
  EXPECT_EQ(f32_to_e2m1(-7), 15);
  EXPECT_EQ(f32_to_e2m1(-0.1f), 0);
  EXPECT_EQ(f32_to_e2m1(std::numeric_limits<float>::quiet_NaN()), 0);
}

TEST(E8m0, IsAPowerOfTwoDownToASubnormal) {
  for (int code = 0; code < 255; ++code)
    EXPECT_EQ(static_cast<double>(e8m0_to_f32(static_cast<uint8_t>(code))), std::exp2(code - 127));
  EXPECT_TRUE(std::isnan(e8m0_to_f32(255)));
}

TEST(Rounding, IsToEvenWithinItsLimitsAndDefinedForAnything) {
  EXPECT_EQ(round_within(2.5f, -8, 7), 2);
  EXPECT_EQ(round_within(3.5f, -8, 7), 4);
  EXPECT_EQ(round_within(-7.5f, -8, 7), -8);
  EXPECT_EQ(round_within(1e30f, -8, 7), 7);
  EXPECT_EQ(round_within(-std::numeric_limits<float>::infinity(), -8, 7), -8);
  EXPECT_EQ(round_within(std::numeric_limits<float>::quiet_NaN(), -8, 7), -8);
}

}  // namespace
}  // namespace quern::quant
