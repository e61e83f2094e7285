#include "kernels/rope/rope.h"

#include <cmath>

#include "kernels/kernel_test.h"

namespace quern {
namespace {

using namespace kernel_test;

ModelConfig config(double theta, bool yarn) {
  ModelConfig c;
  c.rotary_dim = 64, c.rope_theta = theta;
  if (yarn) c.yarn = Yarn{.factor = 4, .original_max_position = 262144};
  return c;
}

TEST(Rope, PlainFrequenciesFallFromOneWithTheRotaryDimAsDenominator) {
  const RotaryFrequencies f = rotary_frequencies(config(1e7, false));
  ASSERT_EQ(f.inv_freq.size(), 32u);
  EXPECT_EQ(f.attention_factor, 1.0f);
  for (size_t i = 0; i < 32; ++i)
    EXPECT_FLOAT_EQ(f.inv_freq[i], static_cast<float>(std::pow(1e7, -2.0 * static_cast<double>(i) / 64)));
}

// Derived from transformers' formula, for factor 4 over 262,144 positions.
TEST(Rope, YarnFrequenciesAreThoseOfTheTestVector) {
  struct Row {
    size_t i;
    double at_1e7, at_5e6;
  };
  const Row rows[] = {{0, 1, 1},
                      {1, 0.60429639, 0.617528758},
                      {14, 8.65964323e-4, 1.17273699e-3},
                      {15, 4.74239823e-4, 6.63848915e-4},
                      {18, 7.2173874e-5, 1.13694149e-4},
                      {22, 3.84981632e-6, 8.26678927e-6},
                      {31, 4.13704275e-8, 8.09678891e-8}};
  const RotaryFrequencies at_1e7 = rotary_frequencies(config(1e7, true)), at_5e6 = rotary_frequencies(config(5e6, true));
  for (const Row& row : rows) {
    EXPECT_NEAR(static_cast<double>(at_1e7.inv_freq[row.i]), row.at_1e7, 1e-6 * row.at_1e7) << row.i;
    EXPECT_NEAR(static_cast<double>(at_5e6.inv_freq[row.i]), row.at_5e6, 1e-6 * row.at_5e6) << row.i;
  }
  EXPECT_NEAR(static_cast<double>(at_1e7.attention_factor), 1.1386294361, 1e-7);
}

TEST(Rope, TheAttentionFactorPrefersWhatTheConfigStates) {
  ModelConfig c = config(1e7, true);
  c.yarn->mscale = 2, c.yarn->mscale_all_dim = 0.5;
  EXPECT_NEAR(static_cast<double>(rotary_frequencies(c).attention_factor), (0.2 * std::log(4.0) + 1) / (0.05 * std::log(4.0) + 1),
              1e-6);
  c.yarn->attention_factor = 1.25;
  EXPECT_EQ(rotary_frequencies(c).attention_factor, 1.25f);
}

TEST(Rope, RotatesPairsHalfAWidthApartAndNothingElse) {
  Random random(17);
  const RotaryFrequencies f = rotary_frequencies(config(1e7, false));
  std::vector<float> cos(32), sin(32);
  rope_cos_sin(f.inv_freq, 1.5f, 1234, cos.data(), sin.data());
  const std::vector<float> x = random_floats(random, 64);
  Guarded head(1, 64);
  head.fill(x);
  rope_apply(head.data(), cos.data(), sin.data(), 32);
  EXPECT_TRUE(head.intact());
  for (size_t i = 0; i < 32; ++i) {
    const double angle = static_cast<double>(1234.0f * f.inv_freq[i]), a = static_cast<double>(x[i]),
                 b = static_cast<double>(x[i + 32]);
    EXPECT_NEAR(static_cast<double>(head.data()[i]), 1.5 * (a * std::cos(angle) - b * std::sin(angle)), 12 * kUnit);
    EXPECT_NEAR(static_cast<double>(head.data()[i + 32]), 1.5 * (b * std::cos(angle) + a * std::sin(angle)), 12 * kUnit);
  }
}

TEST(Rope, PositionZeroLeavesAHeadAsItIs) {
  const RotaryFrequencies f = rotary_frequencies(config(5e6, false));
  std::vector<float> cos(32), sin(32), x(64, 0.75f);
  rope_cos_sin(f.inv_freq, 1, 0, cos.data(), sin.data());
  rope_apply(x.data(), cos.data(), sin.data(), 32);
  for (const float value : x) EXPECT_EQ(value, 0.75f);
}

}  // namespace
}  // namespace quern
