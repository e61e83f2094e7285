// The scale searches against exhaustive ones.
#include "quant/search.h"

#include "quant/quant_test.h"

namespace quern::quant {
namespace {

using namespace quant_test;

constexpr int8_t kUneven[] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// The least error over a fine grid of scales that map the largest |x| to between half of the outermost level and twice that.
template <class Levels>
double scale_by_grid(const Levels& levels, std::span<const float> x, std::span<const float> w) {
  const double largest = std::abs(static_cast<double>(largest_magnitude(x))), edge = std::abs(static_cast<double>(levels.first()));
  double least = 1e300;
  for (const double sign : {-1.0, 1.0})
    for (double t = edge / 2; t < edge * 2; t += edge / 1000) {
      double xc = 0, cc = 0, xx = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double value = static_cast<double>(x[i]), weight = static_cast<double>(w[i]);
        const auto code = static_cast<double>(levels.value(levels.nearest(static_cast<float>(value * sign * t / largest))));
        xc += weight * value * code, cc += weight * code * code, xx += weight * value * value;
      }
      if (cc > 0) least = std::min(least, xx - xc * xc / cc);
    }
  return least;
}

template <class Levels>
double mean_excess(const Levels& levels, size_t count, bool weighted) {
  Random random(17);
  double found = 0, best = 0;
  for (int round = 0; round < 100; ++round) {
    const std::vector<float> x = normal_weights(random, static_cast<int64_t>(count));
    std::vector<float> w(count, 1.0f);
    if (weighted)
      for (float& weight : w) weight = static_cast<float>(std::pow(random.unit(), 4));
    found += ScaleWalk().fit_scale(levels, x, w).error, best += scale_by_grid(levels, x, w);
  }
  return found / best - 1;
}

// Not exactly the best, because the walk covers less than the grid does. At 255 levels that is what its length costs.
TEST(ScaleWalk, ComesNearTheBestScaleThereIs) {
  for (const bool weighted : {false, true}) {
    EXPECT_LT(mean_excess(IntegerLevels{-127, 127}, 32, weighted), weighted ? 0.25 : 0.03) << weighted;
    EXPECT_LT(mean_excess(IntegerLevels{-32, 31}, 16, weighted), 0.05) << weighted;
    EXPECT_LT(mean_excess(IntegerLevels{-16, 15}, 32, weighted), 0.03) << weighted;
    EXPECT_LT(mean_excess(IntegerLevels{-8, 7}, 32, weighted), 0.03) << weighted;
    EXPECT_LT(mean_excess(IntegerLevels{-4, 3}, 16, weighted), 0.03) << weighted;
    EXPECT_LT(mean_excess(TableLevels{kUneven}, 32, weighted), 0.03) << weighted;
  }
}

TEST(ScaleWalk, ReportsTheErrorThatItsScaleHas) {
  Random random(3);
  const IntegerLevels levels{-8, 7};
  for (int round = 0; round < 50; ++round) {
    const std::vector<float> x = normal_weights(random, 32), w(32, 1.0f);
    const ScaleWalk::Scale fit = ScaleWalk().fit_scale(levels, x, w);
    double error = 0;
    for (const float value : x) {
      const double code =
          static_cast<double>(levels.value(levels.nearest(static_cast<float>(static_cast<double>(value) / fit.scale))));
      error += (static_cast<double>(value) - fit.scale * code) * (static_cast<double>(value) - fit.scale * code);
    }
    EXPECT_LE(error, fit.error * (1 + 1e-6));  // less where the new scale has nearer codes
  }
}

// The least error over a grid of both ends of the range, each grid point followed by a least-squares fit.
double affine_by_grid(float highest, std::span<const float> x, bool nonpositive_offset) {
  const auto [least_x, most_x] = std::minmax_element(x.begin(), x.end());
  const double low = std::min<double>(static_cast<double>(*least_x), nonpositive_offset ? 0 : 1e300),
               range = static_cast<double>(*most_x) - low;
  double least = 1e300;
  for (double begin = -0.1; begin <= 0.35; begin += 0.01)
    for (double end = 0.65; end <= 1.1; end += 0.01) {
      const double scale = range * (end - begin) / static_cast<double>(highest), offset = low + range * begin;
      double n = 0, c1 = 0, c2 = 0, x1 = 0, x2 = 0, xc = 0;
      for (const float value : x) {
        const auto v = static_cast<double>(value),
                   c = static_cast<double>(round_within(static_cast<float>((v - offset) / scale), 0, highest));
        n += 1, c1 += c, c2 += c * c, x1 += v, x2 += v * v, xc += v * c;
      }
      const double determinant = n * c2 - c1 * c1;
      if (determinant <= 0) continue;
      double s = (n * xc - x1 * c1) / determinant, b = (x1 - s * c1) / n;
      if (nonpositive_offset && b > 0) b = 0, s = xc / c2;
      least = std::min(least, x2 - 2 * s * xc - 2 * b * x1 + s * s * c2 + 2 * s * b * c1 + n * b * b);
    }
  return least;
}

TEST(ScaleWalk, FindsAScaleAndOffsetNearTheBestThereAre) {
  for (const float highest : {3.0f, 15.0f, 31.0f})
    for (const bool nonpositive : {false, true}) {
      Random random(5);
      double found = 0, best = 0;
      for (int round = 0; round < 60; ++round) {
        const std::vector<float> x = normal_weights(random, highest > 3 ? 32 : 16), w(x.size(), 1.0f);
        found += ScaleWalk().fit_affine(highest, x, w, nonpositive).error, best += affine_by_grid(highest, x, nonpositive);
      }
      EXPECT_LT(found / best, 1.03) << highest << " " << nonpositive;
    }
}

TEST(ScaleWalk, DegenerateGroupsHaveASolution) {
  const std::vector<float> zeros(32, 0.0f), same(32, -2.5f), ones(32, 1.0f);
  EXPECT_EQ(ScaleWalk().fit_scale(IntegerLevels{-8, 7}, zeros, ones).error, 0);
  EXPECT_NEAR(ScaleWalk().fit_scale(IntegerLevels{-8, 7}, same, ones).error, 0, 1e-10);
  EXPECT_NEAR(ScaleWalk().fit_affine(15, same, ones, false).error, 0, 1e-10);
  EXPECT_NEAR(ScaleWalk().fit_affine(15, same, ones, true).error, 0, 1e-10);
  const std::vector<float> positive(32, 2.5f);
  EXPECT_NEAR(ScaleWalk().fit_affine(15, positive, ones, true).error, 0, 1e-10);
}

}  // namespace
}  // namespace quern::quant
