#include "kernels/router/router.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "kernels/kernel_test.h"

namespace quern {
namespace {

using namespace kernel_test;

struct Routed {
  std::vector<int32_t> ids;
  std::vector<float> weights;
};
Routed run(const std::vector<float>& logits, int64_t k, bool renormalise) {
  Guarded weights(1, k);
  std::vector<int32_t> ids(static_cast<size_t>(k + 2), -7);
  route(logits.data(), static_cast<int64_t>(logits.size()), k, renormalise, ids.data() + 1, weights.data());
  EXPECT_TRUE(weights.intact() && ids.front() == -7 && ids.back() == -7);
  return {{ids.begin() + 1, ids.end() - 1}, weights.values()};
}

TEST(Router, PicksTheMostProbableAndWeighsThemByTheSoftmaxOverAll) {
  Random random(17);
  for (const auto& [experts, k] : {std::pair<int64_t, int64_t>{1, 1}, {5, 2}, {67, 10}, {512, 10}, {8, 8}})
    for (const bool renormalise : {false, true}) {
      const std::vector<float> logits = random_floats(random, experts, -4, 4);
      std::vector<int32_t> order(static_cast<size_t>(experts));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int32_t a, int32_t b) { return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)]; });
      order.resize(static_cast<size_t>(k));
      const Routed got = run(logits, k, renormalise);
      EXPECT_EQ(got.ids, order);
      double all = 0, kept = 0;
      for (const float logit : logits) all += std::exp(static_cast<double>(logit));
      for (const int32_t id : order) kept += std::exp(static_cast<double>(logits[static_cast<size_t>(id)]));
      for (size_t i = 0; i < order.size(); ++i) {
        const double want = std::exp(static_cast<double>(logits[static_cast<size_t>(order[i])])) / (renormalise ? kept : all);
        // logits - highest is rounded once at a size of at most 8: half a step of that, then exp and the quotients.
        EXPECT_NEAR(static_cast<double>(got.weights[i]), want, 24 * kUnit * want);
      }
    }
}

TEST(Router, TiesGoToTheLowestId) {
  const std::vector<float> logits{1, 3, 2, 3, 2, 2, 3};
  EXPECT_EQ(run(logits, 5, true).ids, (std::vector<int32_t>{1, 3, 6, 2, 4}));
  EXPECT_EQ(run(std::vector<float>(9, 0.5f), 4, true).ids, (std::vector<int32_t>{0, 1, 2, 3}));
}

TEST(Router, ExtremeLogitsNeitherOverflowNorVanish) {
  const Routed got = run({-3e38f, 3e38f, 0, 2.9e38f}, 2, true);
  EXPECT_EQ(got.ids, (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(got.weights[0], 1.0f);
  EXPECT_EQ(got.weights[1], 0.0f);
}

TEST(Router, IdsAreDistinctAndInRangeWhateverTheLogitsAre) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const std::vector<float>& logits :
       {std::vector<float>{nan, nan, nan, nan}, {1, nan, 2, nan}, {inf, 1, inf, -inf}, {-inf, -inf, -inf, -inf}}) {
    const Routed got = run(logits, 3, true);
    EXPECT_EQ(std::set<int32_t>(got.ids.begin(), got.ids.end()).size(), 3u);
    for (const int32_t id : got.ids) EXPECT_TRUE(0 <= id && id < 4) << id;
  }
}

}  // namespace
}  // namespace quern
