#include "kernels/rms_norm/rms_norm.h"

#include <cmath>

#include "kernels/kernel_test.h"

namespace quern {
namespace {

using namespace kernel_test;

constexpr int64_t kLengths[] = {1, 2, 7, 8, 9, 64, 129, 2048};

double sum_of_squares(const std::vector<float>& x) {
  double sum = 0;
  for (const float value : x) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

template <class Body>
void for_each_version(Body body) {
  for (const Isa isa : versions()) {
    SCOPED_TRACE(isa_name(isa));
    body(isa);
  }
}

TEST(RmsNorm, MatchesTheFormulaAtEveryLength) {
  for_each_version([](Isa isa) {
    Random random(17);
    for (const int64_t n : kLengths) {
      const std::vector<float> x = random_floats(random, n, -3, 3), z = random_floats(random, n, -9, 9),
                               weight = random_floats(random, n, 0, 2);
      Guarded plain(1, n), gated(1, n);
      rms_norm(isa, x.data(), weight.data(), 1e-6f, n, plain.data());
      gated_rms_norm(isa, x.data(), z.data(), weight.data(), 1e-6f, n, gated.data());
      const double scale = 1 / std::sqrt(sum_of_squares(x) / static_cast<double>(n) + static_cast<double>(1e-6f));
      for (int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<size_t>(i);
        const double want = static_cast<double>(x[at]) * scale * static_cast<double>(weight[at]);
        EXPECT_NEAR(static_cast<double>(plain.data()[i]), want, 4 * kUnit * std::abs(want)) << n;
        const double zi = static_cast<double>(z[at]), gate = zi / (1 + std::exp(-zi));
        EXPECT_NEAR(static_cast<double>(gated.data()[i]), want * gate, 14 * kUnit * std::abs(want * gate)) << n;
      }
      EXPECT_TRUE(plain.intact() && gated.intact());
    }
  });
}

TEST(RmsNorm, WorksInPlace) {
  for_each_version([](Isa isa) {
    Random random(18);
    const std::vector<float> x = random_floats(random, 37), z = random_floats(random, 37), weight = random_floats(random, 37);
    std::vector<float> want(37), got = x;
    rms_norm(isa, x.data(), weight.data(), 1e-6f, 37, want.data());
    rms_norm(isa, got.data(), weight.data(), 1e-6f, 37, got.data());
    EXPECT_TRUE(same_bits(got, want));
    got = x;
    gated_rms_norm(isa, x.data(), z.data(), weight.data(), 1e-6f, 37, want.data());
    gated_rms_norm(isa, got.data(), z.data(), weight.data(), 1e-6f, 37, got.data());
    EXPECT_TRUE(same_bits(got, want));
  });
}

TEST(RmsNorm, AZeroVectorStaysZeroAndHugeOnesDoNotOverflow) {
  for_each_version([](Isa isa) {
    std::vector<float> x(16, 0.0f), weight(16, 2.0f), out(16, 1.0f);
    rms_norm(isa, x.data(), weight.data(), 1e-6f, 16, out.data());
    for (const float value : out) EXPECT_EQ(value, 0.0f);
    std::fill(x.begin(), x.end(), 1e30f);  // the square is past f32
    rms_norm(isa, x.data(), weight.data(), 1e-6f, 16, out.data());
    for (const float value : out) EXPECT_NEAR(value, 2.0f, 1e-6f);
  });
}

TEST(L2Normalise, DividesByTheRootOfTheSumAndScales) {
  for_each_version([](Isa isa) {
    Random random(11);
    for (const int64_t n : kLengths) {
      const std::vector<float> x = random_floats(random, n);
      const double root = std::sqrt(sum_of_squares(x) + 1e-6);
      std::vector<float> got = x;
      l2_normalise(isa, got.data(), n, 0.25f);
      for (size_t i = 0; i < x.size(); ++i)
        EXPECT_NEAR(static_cast<double>(got[i]), static_cast<double>(x[i]) * 0.25 / root, 4 * kUnit);
    }
  });
}

TEST(L2Normalise, AZeroVectorStaysZero) {
  for_each_version([](Isa isa) {
    std::vector<float> x(9, 0.0f);
    l2_normalise(isa, x.data(), 9, 1.0f);
    for (const float value : x) EXPECT_EQ(value, 0.0f);
  });
}

}  // namespace
}  // namespace quern
