// A long sequence, read token by token and in chunks: rounding must not carry the recurrent states apart.
#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "model/ops/cpu_ops.h"
#include "runtime/timeline.h"

namespace quern {
namespace {

constexpr int64_t kTokens = 20'000, kEvery = 500;

// Logits of tiny after every kEvery tokens, fed `step` at a time.
std::vector<float> logits_along(const std::vector<int32_t>& ids, int64_t step) {
  const auto model = Model::load(QUERN_REPO "/tests/data/tiny").value();
  ThreadPool pool(2);
  CpuOps ops(pool, best_isa());
  Workspace workspace(*model);
  Runner runner{.model = *model, .ops = ops, .workspace = workspace, .kv = KvFormat::f32, .context = kTokens, .chunk = step};
  Timeline timeline(runner);
  std::vector<float> along;
  for (int64_t t = 0; t < kTokens; t += kEvery) {
    for (int64_t i = 0; i < kEvery; i += step)
      EXPECT_TRUE(timeline.feed(std::span(ids).subspan(static_cast<size_t>(t + i), static_cast<size_t>(step))));
    const auto logits = timeline.logits();
    along.insert(along.end(), logits.begin(), logits.end());
  }
  return along;
}

TEST(Drift, TokenByTokenAndInChunksAgree) {
  Random random(1);
  std::vector<int32_t> ids(kTokens);
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(512));
  const std::vector<float> single = logits_along(ids, 1), chunked = logits_along(ids, 250);
  ASSERT_EQ(single.size(), chunked.size());
  float most = 0;
  for (size_t i = 0; i < single.size(); ++i) {
    ASSERT_TRUE(std::isfinite(single[i]));
    most = std::max(most, std::abs(single[i] - chunked[i]));
  }
  EXPECT_LE(most, 1e-3f);
}

}  // namespace
}  // namespace quern
