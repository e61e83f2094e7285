#include "kernels/activations/activations.h"

#include <limits>

#include "kernels/kernel_test.h"

namespace quern {
namespace {

using namespace kernel_test;

TEST(Activations, MatchF64OverTheWholeRange) {
  for (double at = -110; at <= 110; at += 0.0137) {
    const auto x = static_cast<float>(at);
    const double exact = static_cast<double>(x), e = std::exp(-exact);
    // exp is good to a unit or two, the sum and the quotient round once each; below the normal range a step is absolute.
    const auto bound = [](double value) { return 8 * kUnit * std::abs(value) + 0x1p-148; };
    EXPECT_NEAR(static_cast<double>(sigmoid(x)), 1 / (1 + e), x < -88.0f ? 1e-38 : bound(1 / (1 + e))) << x;
    EXPECT_NEAR(static_cast<double>(silu(x)), exact / (1 + e), x < -88.0f ? 1e-36 : bound(exact / (1 + e))) << x;
    EXPECT_NEAR(static_cast<double>(softplus(x)), std::log1p(std::exp(exact)), bound(std::log1p(std::exp(exact)))) << x;
  }
}

TEST(Activations, EndsOfTheRangeAreTheirLimits) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sigmoid(inf), 1.0f);
  EXPECT_EQ(sigmoid(-inf), 0.0f);
  EXPECT_EQ(silu(inf), inf);
  EXPECT_EQ(silu(-1e30f), 0.0f);
  EXPECT_EQ(softplus(inf), inf);
  EXPECT_EQ(softplus(-inf), 0.0f);
  for (float (*f)(float) : {sigmoid, silu, softplus}) EXPECT_TRUE(std::isnan(f(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace quern
