#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace quern {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Probabilities 0.4, 0.3, 0.15, 0.1, 0.05 for ids 2, 0, 4, 1, 3 at temperature 1.
const std::vector<float> kLogits = {std::log(0.3f), std::log(0.1f), std::log(0.4f), std::log(0.05f), std::log(0.15f)};
using Distribution = std::map<int32_t, double>;

// Chi-square over 40,000 draws, for up to four degrees of freedom: 23.5 is passed by chance once in 10,000 times, and the seed is fixed.
void expect_draws(SamplingParams params, const Distribution& want, const std::vector<float>& logits = kLogits, int64_t limit = 5) {
  constexpr int kDraws = 40'000;
  params.seed = 1234;
  Sampler sampler(params);
  std::map<int32_t, int> counts;
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.sample(logits, limit)];
  double chi_square = 0;
  for (const auto& [id, probability] : want) {
    const double expected = probability * kDraws, difference = counts[id] - expected;
    chi_square += difference * difference / expected;
    counts.erase(id);
  }
  EXPECT_LE(chi_square, 23.5);
  for (const auto& [id, count] : counts) EXPECT_EQ(count, 0) << "id " << id << " has no probability here";
}

TEST(Argmax, TakesTheLowestIdAmongEquals) {
  EXPECT_EQ(argmax(std::vector<float>{1, 3, 3, 2, 3}), 1);
  EXPECT_EQ(argmax(std::vector<float>{0, 0}), 0);
  EXPECT_EQ(argmax(std::vector<float>{-0.0f, 0.0f}), 0);
  EXPECT_EQ(argmax(std::vector<float>{-kInf, -kInf, -5}), 2);
}

TEST(Argmax, NeverTakesANaNWhileThereIsANumber) {
  EXPECT_EQ(argmax(std::vector<float>{kNaN, 1, 2}), 2);
  EXPECT_EQ(argmax(std::vector<float>{1, kNaN, 0}), 0);
  EXPECT_EQ(argmax(std::vector<float>{kNaN, -kInf, kNaN}), 1);
  EXPECT_EQ(argmax(std::vector<float>{kNaN, kNaN}), 0);
}

TEST(Sampler, IsGreedyAtTemperatureZeroWhateverElseIsAsked) {
  Sampler sampler({.temperature = 0, .top_p = 0.1, .min_p = 0.9, .top_k = 3, .seed = 9});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(sampler.sample(kLogits, 5), 2);
}

TEST(Sampler, DrawsTheSoftmaxAtTemperatureOne) {
  expect_draws({.temperature = 1}, {{0, 0.3}, {1, 0.1}, {2, 0.4}, {3, 0.05}, {4, 0.15}});
}

TEST(Sampler, FlattensAndSharpensWithTemperature) {
  for (const double temperature : {0.5, 2.0}) {
    const double probabilities[] = {0.3, 0.1, 0.4, 0.05, 0.15};
    Distribution want;
    double total = 0;
    for (int32_t id = 0; id < 5; ++id) total += want[id] = std::pow(probabilities[id], 1 / temperature);
    for (auto& [id, probability] : want) probability /= total;
    expect_draws({.temperature = temperature}, want);
  }
}

TEST(Sampler, KeepsTheTopK) {
  expect_draws({.temperature = 1, .top_k = 2}, {{2, 0.4 / 0.7}, {0, 0.3 / 0.7}});
  expect_draws({.temperature = 1, .top_k = 1}, {{2, 1.0}});
  expect_draws({.temperature = 1, .top_k = 100}, {{0, 0.3}, {1, 0.1}, {2, 0.4}, {3, 0.05}, {4, 0.15}});
}

TEST(Sampler, KeepsTheFewestThatReachTopP) {
  expect_draws({.temperature = 1, .top_p = 0.6}, {{2, 0.4 / 0.7}, {0, 0.3 / 0.7}});
  expect_draws({.temperature = 1, .top_p = 0.75}, {{2, 0.4 / 0.85}, {0, 0.3 / 0.85}, {4, 0.15 / 0.85}});
  expect_draws({.temperature = 1, .top_p = 0}, {{2, 1.0}});
}

TEST(Sampler, AppliesTopPToWhatTopKLeft) {
  // Of 0.4, 0.3, 0.15 (renormalised: 0.47, 0.35, 0.18) the first two reach 0.8; without top_k it would take three.
  expect_draws({.temperature = 1, .top_p = 0.8, .top_k = 3}, {{2, 0.4 / 0.7}, {0, 0.3 / 0.7}});
}

TEST(Sampler, DropsWhatIsLessLikelyThanMinPTimesTheMostLikely) {
  expect_draws({.temperature = 1, .min_p = 0.3}, {{2, 0.4 / 0.85}, {0, 0.3 / 0.85}, {4, 0.15 / 0.85}});
  expect_draws({.temperature = 1, .min_p = 1}, {{2, 1.0}});
}

TEST(Sampler, BreaksTiesAtTheEdgeOfTopKByTheLowestId) {
  expect_draws({.temperature = 1, .top_k = 2}, {{1, 0.5}, {2, 0.5}}, {-1, 0, 0, 0, 0});
}

TEST(Sampler, NeverDrawsFromTheLimitOn) {
  expect_draws({.temperature = 1}, {{0, 0.75}, {1, 0.25}}, kLogits, 2);
  EXPECT_EQ(Sampler({}).sample(kLogits, 2), 0);
}

TEST(Sampler, RepeatsItselfForOneSeedAndNotForAnother) {
  const auto draw = [](uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<int32_t> ids;
    for (int i = 0; i < 60; ++i) ids.push_back(sampler.sample(kLogits, 5));
    return ids;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(Sampler, GivesMaskedAndBrokenLogitsNoProbability) {
  expect_draws({.temperature = 1}, {{1, 0.5}, {3, 0.5}}, {-kInf, 0, kNaN, 0, -kInf});
  expect_draws({.temperature = 1, .top_p = 0.9, .min_p = 0.1, .top_k = 4}, {{1, 0.5}, {3, 0.5}}, {kNaN, 0, kNaN, 0, -kInf});
  expect_draws({.temperature = 1}, {{1, 0.5}, {4, 0.5}}, {5, kInf, kNaN, 1e38f, kInf});
}

TokenMask mask_of(std::initializer_list<int32_t> ids, size_t size) {
  TokenMask mask(size);
  for (const int32_t id : ids) mask.set(id);
  return mask;
}

TEST(Sampler, DrawsAllowedIdsInTheirProportionsAndNoOthers) {
  std::map<int32_t, int> counts;
  Sampler sampler({.temperature = 1, .seed = 77});
  const TokenMask allowed = mask_of({0, 3, 4}, 5);
  constexpr int kDraws = 40'000;
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.sample(kLogits, 5, allowed)];
  double chi_square = 0;
  for (const auto& [id, probability] : Distribution{{0, 0.6}, {3, 0.1}, {4, 0.3}}) {
    const double expected = probability * kDraws, difference = counts[id] - expected;
    chi_square += difference * difference / expected;
  }
  EXPECT_LE(chi_square, 23.5);
  EXPECT_EQ(counts[1] + counts[2], 0);
}

TEST(Sampler, IsGreedyAmongWhatIsAllowed) {
  Sampler sampler({});
  EXPECT_EQ(sampler.sample(kLogits, 5, mask_of({1, 3, 4}, 5)), 4);
  EXPECT_EQ(sampler.sample({{1, 7, 7, 7}}, 4, mask_of({0, 2, 3}, 4)), 2) << "ties: the lowest id";
  EXPECT_EQ(sampler.sample({{kNaN, 7, -kInf, kNaN}}, 4, mask_of({0, 2, 3}, 4)), 2);
  EXPECT_EQ(sampler.sample({{kNaN, 7, 1, kNaN}}, 4, mask_of({0, 3}, 4)), 0);
  EXPECT_EQ(Sampler({.temperature = 1}).sample({{-kInf, 7, -kInf}}, 3, mask_of({2}, 3)), 2) << "however unlikely";
}

TEST(Sampler, HasNothingToDrawWhereNothingBelowTheLimitIsAllowed) {
  for (const double temperature : {0.0, 1.0}) {
    Sampler sampler({.temperature = temperature});
    EXPECT_EQ(sampler.sample(kLogits, 5, TokenMask(5)), -1);
    EXPECT_EQ(sampler.sample(kLogits, 3, mask_of({3, 4}, 5)), -1);
    EXPECT_EQ(sampler.sample(kLogits, 5, mask_of({63, 64, 200}, 300)), -1);
    EXPECT_EQ(sampler.sample(kLogits, 5, mask_of({4, 64, 200}, 300)), 4);
    EXPECT_EQ(sampler.sample(kLogits, 5, TokenMask()), -1);
  }
}

TEST(Sampler, DrawsTheSameUnderAMaskThatAllowsEverything) {
  Random random(11);
  for (int i = 0; i < 500; ++i) {
    std::vector<float> logits(1 + random.below(150));
    TokenMask all(logits.size());
    for (size_t id = 0; id < logits.size(); ++id) {
      logits[id] = static_cast<float>(random.unit() * 12 - 6);
      all.set(static_cast<int32_t>(id));
    }
    const SamplingParams params{.temperature = random.below(4) == 0 ? 0.0 : random.unit() * 2,
                                .top_p = random.unit() + 0.2,
                                .min_p = random.unit() * 0.3,
                                .top_k = random.between(0, 30),
                                .seed = random.below(1000)};
    Sampler free(params), masked(params);
    const auto limit = static_cast<int64_t>(1 + random.below(logits.size()));
    for (int draw = 0; draw < 5; ++draw) ASSERT_EQ(free.sample(logits, limit), masked.sample(logits, limit, all));
  }
}

TEST(Sampler, ReturnsAnIdInsideTheVocabularyWhateverTheLogitsAndSettings) {
  const std::vector<float> values = {kNaN, kInf, -kInf, 0, 1e38f, -1e38f, 1e-45f};
  const std::vector<double> settings = {
      0, 1e-320, 1, 1e300, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()};
  Random random(3);
  for (int i = 0; i < 3000; ++i) {
    std::vector<float> logits(1 + random.below(40));
    for (float& logit : logits) logit = random.pick(values);
    const SamplingParams params{.temperature = random.pick(settings),
                                .top_p = random.pick(settings),
                                .min_p = random.pick(settings),
                                .top_k = random.between(-1, 50),
                                .seed = 1};
    const int32_t id = Sampler(params).sample(logits, 40);
    ASSERT_GE(id, 0);
    ASSERT_LT(id, static_cast<int32_t>(logits.size()));
  }
}

// The plain definitions, one id at a time over the whole history.
std::vector<float> penalised(const SamplingParams& p, std::vector<float> logits, const std::vector<int32_t>& prompt,
                             const std::vector<int32_t>& generated) {
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const auto times = [&](const std::vector<int32_t>& ids) { return std::count(ids.begin(), ids.end(), id); };
    const auto repetition = static_cast<float>(p.repetition_penalty);
    if (times(prompt) + times(generated) > 0) logits[i] = logits[i] < 0 ? logits[i] * repetition : logits[i] / repetition;
    const auto count = static_cast<double>(times(generated));
    logits[i] -= static_cast<float>(count * p.frequency_penalty + (count > 0 ? p.presence_penalty : 0));
    for (const auto& [biased, bias] : p.logit_bias)
      if (biased == id) logits[i] += bias;
  }
  return logits;
}

TEST(Sampler, PenalisesAsDefinedWhateverElseIsAsked) {
  Random random(21);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> logits(40);
    for (float& logit : logits) logit = static_cast<float>(random.unit() * 8 - 4);
    SamplingParams params{.temperature = random.below(2) == 0 ? 0.0 : 1.0, .top_k = random.between(0, 5), .seed = random.next()};
    SamplingParams plain = params;
    if (random.chance(0.7)) params.repetition_penalty = 0.5 + random.unit();
    if (random.chance(0.7)) params.presence_penalty = random.unit() * 4 - 2;
    if (random.chance(0.7)) params.frequency_penalty = random.unit() * 4 - 2;
    if (random.chance(0.5)) params.logit_bias = {{3, 2.5f}, {7, -100.0f}, {3, 0.5f}};
    std::vector<int32_t> prompt, generated;
    for (int i = 0; i < 12; ++i) prompt.push_back(static_cast<int32_t>(random.below(40)));
    Sampler sampler(params), reference(plain);
    sampler.see_prompt(prompt);
    for (int step = 0; step < 12; ++step) {
      const int32_t id = sampler.sample(logits, 40);
      ASSERT_EQ(id, reference.sample(penalised(params, logits, prompt, generated), 40)) << "round " << round << ", step " << step;
      sampler.see_generated(id);
      generated.push_back(id);
    }
  }
}

TEST(Sampler, CountsForPresenceAndFrequencyOnlyWhatWasGenerated) {
  SamplingParams params;
  params.presence_penalty = 10;
  Sampler sampler(params);
  sampler.see_prompt(std::vector<int32_t>{2, 2, 2});
  EXPECT_EQ(sampler.sample(kLogits, 5), 2);
  sampler.see_generated(2);
  EXPECT_EQ(sampler.sample(kLogits, 5), 0);
  params = {.repetition_penalty = 100};
  Sampler repetition(params);  // all of these logits are negative: the penalty makes them smaller
  repetition.see_prompt(std::vector<int32_t>{2});
  EXPECT_EQ(repetition.sample(kLogits, 5), 0);
}

TEST(Sampler, PenaltiesKeepToWhatIsAllowed) {
  SamplingParams params;
  params.frequency_penalty = 100;
  params.logit_bias = {{0, 50.0f}, {1000, 1.0f}};
  Sampler sampler(params);
  EXPECT_EQ(sampler.sample(kLogits, 5, mask_of({1, 2}, 5)), 2) << "not the one with the bias";
  sampler.see_generated(2);
  EXPECT_EQ(sampler.sample(kLogits, 5, mask_of({1, 2}, 5)), 1);
}

TEST(LogProbability, IsTheLogSoftmaxOfWhatCanBeDrawn) {
  std::vector<TokenProbability> top;
  const double probabilities[] = {0.3, 0.1, 0.4, 0.05, 0.15};
  for (int32_t id = 0; id < 5; ++id) EXPECT_NEAR(log_probability(kLogits, 5, id, 0, top), std::log(probabilities[id]), 1e-6);
  EXPECT_TRUE(top.empty());
  EXPECT_NEAR(log_probability(kLogits, 2, 1, 3, top), std::log(0.1 / 0.4), 1e-6) << "of ids below the limit alone";
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0].id, 0);
}

TEST(LogProbability, ListsTheLikeliestInOrderAndTiesByTheLowestId) {
  std::vector<TokenProbability> top;
  log_probability(std::vector<float>{1, 3, 2, 3, kNaN, -kInf, 3}, 7, 0, 4, top);
  ASSERT_EQ(top.size(), 4u);
  const int32_t want[] = {1, 3, 6, 2};
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(top[i].id, want[i]);
  EXPECT_EQ(top[0].logprob, top[2].logprob);
  EXPECT_NEAR(top[0].logprob - top[3].logprob, 1, 1e-6);
  EXPECT_EQ(log_probability(std::vector<float>{kInf, 0}, 2, 0, 1, top), 0);
}

}  // namespace
}  // namespace quern
