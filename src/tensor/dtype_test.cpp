#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "base/random.h"

namespace quern {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

TEST(DType, EveryFiniteSixteenBitValueSurvivesTheWayThroughF32) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (!std::isnan(bf16_to_f32(half))) {
      EXPECT_EQ(f32_to_bf16(bf16_to_f32(half)), half);
    }
    if (!std::isnan(f16_to_f32(half))) {
      EXPECT_EQ(f32_to_f16(f16_to_f32(half)), half);
    }
  }
}

TEST(DType, KnownValuesAreWhatTheirFormatsSay) {
  EXPECT_EQ(bf16_to_f32(0x3F80), 1.0f);
  EXPECT_EQ(f16_to_f32(0x3C00), 1.0f);
  EXPECT_EQ(f16_to_f32(0x7BFF), 65504.0f);
  EXPECT_EQ(f16_to_f32(0x0001), 0x1p-24f);
  EXPECT_EQ(f16_to_f32(0x83FF), -1023 * 0x1p-24f);
  EXPECT_TRUE(std::signbit(f16_to_f32(0x8000)));
}

TEST(DType, InfinityAndNanKeepTheirKindAndSign) {
  for (const float sign : {1.0f, -1.0f}) {
    EXPECT_EQ(bf16_to_f32(f32_to_bf16(sign * kInf)), sign * kInf);
    EXPECT_EQ(f16_to_f32(f32_to_f16(sign * kInf)), sign * kInf);
  }
  // The second has its whole payload in bits that the short formats drop: truncation alone would make it an infinity.
  for (const float nan : {kNan, std::bit_cast<float>(0x7F800001u), std::bit_cast<float>(0xFFFFFFFFu)}) {
    EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(nan))));
    EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(nan))));
  }
}

TEST(DType, OverflowRoundsToInfinityAtTheHalfwayPoint) {
  EXPECT_EQ(f32_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
}

// The nearest of the format's values, ties to the even code, found by comparing distances in f64 instead of by bit arithmetic.
template <class Encode, class Decode>
void expect_nearest_even(float value, Encode encode, Decode decode) {
  const uint16_t got = encode(value);
  const double distance = std::abs(static_cast<double>(decode(got)) - static_cast<double>(value));
  for (const int step : {-1, 1}) {
    const auto other = static_cast<uint16_t>(got + step);
    if ((other & 0x8000) != (got & 0x8000) || !std::isfinite(decode(other))) continue;
    const double other_distance = std::abs(static_cast<double>(decode(other)) - static_cast<double>(value));
    EXPECT_LE(distance, other_distance) << value;
    if (distance == other_distance) {
      EXPECT_EQ(got & 1, 0) << value;
    }
  }
}

TEST(DType, ConversionsRoundToNearestAndTiesToEven) {
  Random random(5);
  for (int i = 0; i < 200'000; ++i) {
    // Exponents from below the smallest f16 subnormal to its largest value; every fourth value is an exact tie of one of the formats.
    uint32_t bits = static_cast<uint32_t>(random.next() & 0x807FFFFF) | static_cast<uint32_t>(random.between(100, 141)) << 23;
    if (i % 4 == 0) bits = (bits & ~0x1FFFu) | 0x1000;
    if (i % 4 == 1) bits = (bits & ~0xFFFFu) | 0x8000;
    const auto value = std::bit_cast<float>(bits);
    expect_nearest_even(value, f32_to_bf16, bf16_to_f32);
    expect_nearest_even(value, f32_to_f16, f16_to_f32);
  }
}

TEST(DType, LoadsWorkAtOddAddresses) {
  std::array<std::byte, 9> bytes{};
  const float value = -3.5f;
  std::memcpy(bytes.data() + 1, &value, 4);
  EXPECT_EQ(load_f32(DType::f32, bytes.data() + 1, 0), value);
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const uint16_t half = dtype == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
    std::memcpy(bytes.data() + 3, &half, 2);
    float out[2];
    to_f32(dtype, bytes.data() + 1, out, 2);
    EXPECT_EQ(out[1], value);
  }
}

TEST(DType, SizesAndNamesBelongTogether) {
  EXPECT_EQ(dtype_size(DType::f32), 4u);
  EXPECT_EQ(dtype_size(DType::f16), 2u);
  EXPECT_EQ(dtype_size(DType::bf16), 2u);
  EXPECT_EQ(dtype_name(DType::f32), "f32");
  EXPECT_EQ(dtype_name(DType::f16), "f16");
  EXPECT_EQ(dtype_name(DType::bf16), "bf16");
}

}  // namespace
}  // namespace quern
