#include "kernels/rms_norm/rms_norm.h"

#include <cmath>

#include "kernels/kernel_test.h"

namespace quern {
namespace {

using namespace kernel_test;

TEST(RmsNorm, MatchesTheFormulaAtEveryLength) {
  Random random(17);
  for (const int64_t n : {1, 2, 7, 8, 9, 64, 129, 2048}) {
    const std::vector<float> x = random_floats(random, n, -3, 3), z = random_floats(random, n, -9, 9),
                             weight = random_floats(random, n, 0, 2);
    Guarded plain(1, n), gated(1, n);
    rms_norm(x.data(), weight.data(), 1e-6f, n, plain.data());
    gated_rms_norm(x.data(), z.data(), weight.data(), 1e-6f, n, gated.data());
    double squares = 0;
    for (const float value : x) squares += static_cast<double>(value) * static_cast<double>(value);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(1e-6f));
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i);
      const double want = static_cast<double>(x[at]) * scale * static_cast<double>(weight[at]);
      EXPECT_NEAR(static_cast<double>(plain.data()[i]), want, 4 * kUnit * std::abs(want)) << n;
      const double zi = static_cast<double>(z[at]), gate = zi / (1 + std::exp(-zi));
      EXPECT_NEAR(static_cast<double>(gated.data()[i]), want * gate, 12 * kUnit * std::abs(want * gate)) << n;
    }
    EXPECT_TRUE(plain.intact() && gated.intact());
  }
}

TEST(RmsNorm, WorksInPlace) {
  Random random(18);
  const std::vector<float> x = random_floats(random, 37), z = random_floats(random, 37), weight = random_floats(random, 37);
  std::vector<float> want(37), got = x;
  rms_norm(x.data(), weight.data(), 1e-6f, 37, want.data());
  rms_norm(got.data(), weight.data(), 1e-6f, 37, got.data());
  EXPECT_TRUE(same_bits(got, want));
  got = x;
  gated_rms_norm(x.data(), z.data(), weight.data(), 1e-6f, 37, want.data());
  gated_rms_norm(got.data(), z.data(), weight.data(), 1e-6f, 37, got.data());
  EXPECT_TRUE(same_bits(got, want));
}

TEST(RmsNorm, AZeroVectorStaysZeroAndHugeOnesDoNotOverflow) {
  std::vector<float> x(16, 0.0f), weight(16, 2.0f), out(16, 1.0f);
  rms_norm(x.data(), weight.data(), 1e-6f, 16, out.data());
  for (const float value : out) EXPECT_EQ(value, 0.0f);
  std::fill(x.begin(), x.end(), 1e30f);  // the square is past f32
  rms_norm(x.data(), weight.data(), 1e-6f, 16, out.data());
  for (const float value : out) EXPECT_NEAR(value, 2.0f, 1e-6f);
}

}  // namespace
}  // namespace quern
