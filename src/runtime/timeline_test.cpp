// Timelines: where they cut, how far they go back, what checkpoints remember, and that a long one does not drift.
#include "runtime/timeline.h"

#include <thread>

#include "model/model_test.h"

namespace quern {
namespace {

using namespace model_test;

constexpr int64_t kSample = 64, kDriftTokens = (QUERN_LONG_TESTS ? 313 : 16) * kSample;

struct Machine : TestModel {
  explicit Machine(const std::string& name = "tiny", Isa isa = best_isa(), int threads = 1) : TestModel(name, isa, threads) {}
  Runner runner{.model = *model,
                .ops = ops,
                .workspace = workspace,
                .kv = KvFormat::f32,
                .with_mtp = false,
                .context = model->config.max_position_embeddings};
};

std::vector<float> logits_of(const Timeline& timeline) { return {timeline.logits().begin(), timeline.logits().end()}; }

// Logits after `tokens` on a timeline of their own.
std::vector<float> straight(Machine& machine, std::span<const int32_t> tokens) {
  Timeline timeline(machine.runner);
  EXPECT_TRUE(timeline.feed(tokens));
  return logits_of(timeline);
}

TEST(Timeline, CutsOnAGridOfPositionsAndAfterEachEndOfTurn) {
  Machine machine;
  machine.runner.end_of_turn = 7;
  std::vector<int32_t> tokens(1100, 3);
  tokens[9] = tokens[99] = tokens[1023] = 7;
  Timeline timeline(machine.runner);
  std::vector<int64_t> cuts;
  const auto note = [&](int64_t first, std::span<const int32_t> part) {
    cuts.push_back(first + static_cast<int64_t>(part.size()));
    return true;
  };
  ASSERT_TRUE(timeline.feed(std::span(tokens).first(80), Batch::Logits::last, note));
  ASSERT_TRUE(timeline.feed(std::span(tokens).subspan(80), Batch::Logits::last, note));
  EXPECT_EQ(cuts, (std::vector<int64_t>{10, 80, 100, 512, 1024, 1100}));
  EXPECT_EQ(timeline.tokens(), tokens);
}

TEST(Timeline, ComputesTheLogitsThatAreAskedFor) {
  Machine machine;
  const std::vector<int32_t> tokens(600, 3);
  Timeline timeline(machine.runner);
  std::vector<int64_t> rows;
  const auto note = [&](int64_t, std::span<const int32_t>) {
    rows.push_back(machine.workspace.logits.rows);
    return true;
  };
  ASSERT_TRUE(timeline.feed(tokens, Batch::Logits::last, note));
  EXPECT_EQ(rows, (std::vector<int64_t>{0, 1})) << "of the last cut alone";
  Timeline with_all(machine.runner);
  rows.clear();
  ASSERT_TRUE(with_all.feed(std::span(tokens).first(150), Batch::Logits::all, note));
  EXPECT_EQ(rows, (std::vector<int64_t>{64, 64, 22})) << "smaller cuts, for the memory's sake";
}

// Past several blocks of attention a decoded token has its blocks on several threads.
TEST(Timeline, HasTheSameBitsOnAnyNumberOfThreads) {
  Random random(3);
  const std::vector<int32_t> tokens = Machine().random_tokens(random, 1200);
  std::vector<std::vector<float>> logits;
  for (const int threads : {1, 2, 5}) {
    Machine machine("tiny", best_isa(), threads);
    Timeline timeline(machine.runner);
    ASSERT_TRUE(timeline.feed(std::span(tokens).first(1195)));
    for (size_t i = 1195; i < tokens.size(); ++i) ASSERT_TRUE(timeline.feed(std::span(tokens).subspan(i, 1)));
    logits.push_back(logits_of(timeline));
    EXPECT_TRUE(same_logits(logits.back(), logits.front())) << threads << " threads";
    EXPECT_TRUE(same_logits(straight(machine, tokens), logits.front())) << threads << " threads, at once";
  }
}

TEST(Timeline, FeedsNothingWhenOneIdIsOutsideTheVocabulary) {
  Machine machine;
  Timeline timeline(machine.runner);
  ASSERT_TRUE(timeline.feed(std::vector<int32_t>{1, 2, 3}));
  for (const int32_t bad : {-1, 512, std::numeric_limits<int32_t>::max()}) {
    const auto result = timeline.feed(std::vector<int32_t>{4, 5, bad});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::out_of_range);
    EXPECT_NE(result.error().message.find("token 2"), std::string::npos) << result.error().message;
  }
  EXPECT_EQ(timeline.tokens().size(), 3u);
  EXPECT_EQ(timeline.state().position(), 3);
}

TEST(Timeline, FeedsNothingPastTheContextAndSaysHowToExtendIt) {
  Machine machine;
  machine.runner.context = 10;
  Timeline timeline(machine.runner);
  ASSERT_TRUE(timeline.feed(std::vector<int32_t>(9, 1)));
  const auto result = timeline.feed(std::vector<int32_t>{1, 2});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::out_of_range);
  EXPECT_NE(result.error().message.find("--context"), std::string::npos);
  EXPECT_EQ(timeline.tokens().size(), 9u);
  EXPECT_TRUE(timeline.feed(std::vector<int32_t>{1}));
}

TEST(Timeline, GoesBackToACheckpointFromAnyDistance) {
  Machine machine;
  Random random(11);
  const std::vector<int32_t> prompt = machine.random_tokens(random, 70), answer = machine.random_tokens(random, 50),
                             other = machine.random_tokens(random, 12);
  Timeline timeline(machine.runner);
  ASSERT_TRUE(timeline.feed(prompt));
  timeline.checkpoint("prompt");
  ASSERT_TRUE(timeline.feed(answer));
  EXPECT_EQ(timeline.reachable(100), 70);
  EXPECT_EQ(timeline.reachable(69), 0);
  EXPECT_EQ(timeline.reachable(115), 115);
  EXPECT_FALSE(timeline.rollback(100));
  ASSERT_TRUE(timeline.rollback(70));
  ASSERT_TRUE(timeline.feed(other));
  std::vector<int32_t> all = prompt;
  all.insert(all.end(), other.begin(), other.end());
  EXPECT_EQ(timeline.tokens(), all);
  EXPECT_TRUE(same_logits(logits_of(timeline), straight(machine, all)));
}

TEST(Timeline, StartsAfreshWhenItGoesBackToTheBeginning) {
  Machine machine;
  Random random(12);
  Timeline timeline(machine.runner);
  ASSERT_TRUE(timeline.feed(machine.random_tokens(random, 100)));
  timeline.checkpoint("later");
  ASSERT_TRUE(timeline.rollback(0));
  const std::vector<int32_t> tokens = machine.random_tokens(random, 30);
  ASSERT_TRUE(timeline.feed(tokens));
  EXPECT_TRUE(same_logits(logits_of(timeline), straight(machine, tokens)));
  EXPECT_EQ(timeline.reachable(20), 0) << "a checkpoint past the position gone back to is of another timeline";
}

TEST(Timeline, ForgetsACheckpointByName) {
  Machine machine;
  Timeline timeline(machine.runner);
  ASSERT_TRUE(timeline.feed(std::vector<int32_t>(20, 1)));
  timeline.checkpoint("a");
  ASSERT_TRUE(timeline.feed(std::vector<int32_t>(20, 1)));
  EXPECT_EQ(timeline.reachable(25), 20);
  timeline.forget("a");
  EXPECT_EQ(timeline.reachable(25), 0);
}

// A checkpoint made after a rollback reaches less far back than its position suggests: its log was shortened.
TEST(Timeline, PromisesOnlyWhatTheStateOfACheckpointCanKeep) {
  Machine machine;
  Random random(13);
  const std::vector<int32_t> tokens = machine.random_tokens(random, 60);
  Timeline timeline(machine.runner);
  ASSERT_TRUE(timeline.feed(std::span(tokens).first(20)));
  ASSERT_TRUE(timeline.rollback(15));
  timeline.checkpoint("short");
  ASSERT_TRUE(timeline.feed(std::span(tokens).subspan(15)));
  ASSERT_TRUE(timeline.rollback(15));
  EXPECT_EQ(timeline.reachable(13), 13);
  EXPECT_EQ(timeline.reachable(8), 0);
  ASSERT_TRUE(timeline.rollback(timeline.reachable(13)));
  ASSERT_TRUE(timeline.rollback(timeline.reachable(9)));
  EXPECT_EQ(timeline.tokens().size(), 0u);
}

TEST(Timeline, KeepsEveryPromiseOfReachable) {
  Machine machine;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Random random(seed);
    Timeline timeline(machine.runner);
    for (int step = 0; step < 60; ++step) {
      if (random.chance(0.2)) timeline.checkpoint(std::string(1, static_cast<char>('a' + random.below(3))));
      if (random.chance(0.4)) {
        const int64_t wanted = random.between(std::max<int64_t>(0, static_cast<int64_t>(timeline.tokens().size()) - 25),
                                              static_cast<int64_t>(timeline.tokens().size()));
        const int64_t reached = timeline.reachable(wanted);
        ASSERT_LE(reached, wanted);
        ASSERT_TRUE(timeline.rollback(reached)) << "seed " << seed << " step " << step << ": to " << reached;
        ASSERT_EQ(static_cast<int64_t>(timeline.tokens().size()), reached);
      } else {
        ASSERT_TRUE(timeline.feed(machine.random_tokens(random, random.between(1, 30))));
        if (step % 5 == 0) {
          const std::vector<float> got = logits_of(timeline);
          ASSERT_LE(largest_difference(got, straight(machine, timeline.tokens())), 1e-3f) << "seed " << seed << " step " << step;
        }
      }
    }
  }
}

// Feeds the tokens `step` at a time; the logits after each kSample of them.
std::vector<std::vector<float>> sampled(std::span<const int32_t> tokens, int64_t step, Isa isa = best_isa()) {
  Machine machine("tiny", isa);
  machine.runner.context = static_cast<int64_t>(tokens.size());
  Timeline timeline(machine.runner);
  std::vector<std::vector<float>> samples;
  for (int64_t at = 0; at < static_cast<int64_t>(tokens.size()); at += step) {
    EXPECT_TRUE(timeline.feed(tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(step))));
    if ((at + step) % kSample == 0) samples.push_back(logits_of(timeline));
  }
  return samples;
}

TEST(LongTimeline, OfSingleTokensAgreesWithOneOfChunksAllTheWay) {
  Random random(14);
  const std::vector<int32_t> tokens = Machine().random_tokens(random, kDriftTokens);
  std::vector<std::vector<float>> chunks;
  std::thread second([&] { chunks = sampled(tokens, kSample); });  // 16 s each on one core: side by side
  const std::vector<std::vector<float>> single = sampled(tokens, 1);
  second.join();
  ASSERT_EQ(single.size(), chunks.size());
  ASSERT_EQ(static_cast<int64_t>(single.size()), kDriftTokens / kSample);
  for (size_t i = 0; i < single.size(); ++i) ASSERT_LE(largest_difference(single[i], chunks[i]), 1e-3f) << "sample " << i;
}

// The definitions against the fast kernels: their roundings differ at every step, and must not add up.
TEST(LongTimeline, OfTheFastKernelsStaysWithTheScalarOnes) {
  if (best_isa() == Isa::scalar) GTEST_SKIP() << "only the scalar kernels run here";
  Random random(15);
  const std::vector<int32_t> tokens = Machine().random_tokens(random, std::min<int64_t>(kDriftTokens, 64 * kSample));
  const auto fast = sampled(tokens, kSample), scalar = sampled(tokens, kSample, Isa::scalar);
  ASSERT_EQ(fast.size(), scalar.size());
  for (size_t i = 0; i < fast.size(); ++i) ASSERT_LE(largest_difference(fast[i], scalar[i]), 1e-3f) << "sample " << i;
}

}  // namespace
}  // namespace quern
