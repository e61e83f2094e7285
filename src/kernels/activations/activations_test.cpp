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

// The loops, at every length, against f64.
TEST(Activations, LoopsMatchF64InEveryVersion) {
  Random random(5);
  for (const Isa isa : versions()) {
    SCOPED_TRACE(isa_name(isa));
    for (int64_t n = 1; n < 40; n += n < 20 ? 1 : 7)
      for (const double span : {1.0, 20.0, 86.0}) {
        const std::vector<float> x = random_floats(random, n, -span, span), y = random_floats(random, n, -3, 3);
        Guarded swiglu(1, n), gated(1, n), softmax(1, n), sum_of_both(1, n);
        swiglu.fill(x), gated.fill(y), softmax.fill(x), sum_of_both.fill(y);
        add_scaled(isa, sum_of_both.data(), -0.3f, x.data(), n);
        silu_mul(isa, swiglu.data(), y.data(), n);
        sigmoid_mul(isa, gated.data(), 0.75f, x.data(), n);
        const double sum = exp_sum(isa, softmax.data(), 1.5f, n);
        double total = 0;
        for (int64_t i = 0; i < n; ++i) {
          const auto at = static_cast<size_t>(i);
          const double xi = static_cast<double>(x[at]), yi = static_cast<double>(y[at]), gate = 1 / (1 + std::exp(-xi));
          const auto near = [&](float got, double want) {
            EXPECT_NEAR(static_cast<double>(got), want, 10 * kUnit * std::abs(want) + 0x1p-140) << n << " " << xi;
          };
          EXPECT_NEAR(static_cast<double>(sum_of_both.data()[i]), yi + static_cast<double>(-0.3f) * xi,
                      2 * kUnit * (std::abs(yi) + std::abs(xi)));
          near(swiglu.data()[i], xi * gate * yi);
          near(gated.data()[i], yi * 0.75 * gate);
          near(softmax.data()[i], std::exp(static_cast<double>(x[at] - 1.5f)));
          total += static_cast<double>(softmax.data()[i]);
        }
        EXPECT_NEAR(sum, total, 1e-14 * total);
        EXPECT_TRUE(swiglu.intact() && gated.intact() && softmax.intact() && sum_of_both.intact());
      }
  }
}

TEST(Activations, LoopsReachTheirLimits) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const Isa isa : versions()) {
    SCOPED_TRACE(isa_name(isa));
    std::vector<float> gate = {inf, -1e30f, nan, 100.0f, -100.0f, 0.0f, -88.9f, 88.9f}, ones(8, 1.0f);
    silu_mul(isa, gate.data(), ones.data(), 8);
    EXPECT_EQ(gate[0], inf);
    EXPECT_NEAR(gate[1], 0.0f, 1e-8f);
    EXPECT_TRUE(std::isnan(gate[2]));
    EXPECT_EQ(gate[3], 100.0f);
    EXPECT_NEAR(gate[4], 0.0f, 1e-36f);
    EXPECT_EQ(gate[5], 0.0f);
    EXPECT_EQ(gate[7], 88.9f);
    std::vector<float> exponents = {-inf, -200.0f, 0.0f, 1.0f};
    EXPECT_NEAR(exp_sum(isa, exponents.data(), 0.0f, 4), 1 + std::exp(1.0), 1e-6);
    EXPECT_EQ(exponents[0], 0.0f);
    EXPECT_EQ(exponents[1], 0.0f);
  }
}

}  // namespace
}  // namespace quern
