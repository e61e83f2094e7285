// Sampling: greedy, or temperature, then top-k, top-p, min-p, drawn with a seeded generator; the same seed and logits give the same token
// on every machine. All arithmetic on probabilities is in f64 after an f32 softmax input. Before that, penalties of what was said already and
// biases change logits, in f32.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "constrain/vocabulary.h"
#include "runtime/engine.h"

namespace quern {

class Sampler {
 public:
  explicit Sampler(SamplingParams params);

  // What the penalties look back on. Nothing is kept where there are none.
  void see_prompt(std::span<const int32_t> prompt);
  void see_generated(int32_t id);

  // The seed with which another sampler draws on from here.
  uint64_t seed_of_the_rest() const { return random_.state(); }

  bool greedy() const { return params_.temperature <= 0 || params_.top_k == 1; }
  // logits [vocab]; ids from `limit` on are never drawn (rows of the table that no token has). Ties: the lowest id.
  int32_t sample(std::span<const float> logits, int64_t limit);
  // The same among the ids of `allowed` alone, as if all others had no probability; -1 when it has none below `limit`.
  int32_t sample(std::span<const float> logits, int64_t limit, const TokenMask& allowed);

 private:
  struct Candidate {
    int32_t id;
    float logit;
    double weight;  // softmax numerator
  };
  static bool before(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }

  // ForEach: calls a function with each id that may be drawn, in rising order.
  std::span<const float> adjusted(std::span<const float> logits);
  void sort_first(size_t count);
  template <class ForEach>
  void gather(std::span<const float> logits, int32_t most_likely, const ForEach& for_each);
  template <class ForEach>
  int32_t draw(std::span<const float> logits, int32_t most_likely, const ForEach& for_each);

  SamplingParams params_;
  Random random_;
  std::vector<Candidate> candidates_;
  size_t sorted_ = 0;  // of candidates_, how many stand in order in front
  struct Seen {
    bool in_prompt = false;
    int64_t generated = 0;  // how often
  };
  bool penalises_ = false;
  std::unordered_map<int32_t, Seen> seen_;
  std::vector<float> adjusted_;
};

// What the model gives by itself: log softmax over the ids below `limit`. The `count` likeliest are put into `top`, the likeliest first, of
// equals the lowest id.
double log_probability(std::span<const float> logits, int64_t limit, int32_t id, int count, std::vector<TokenProbability>& top);

int32_t argmax(std::span<const float> logits);  // the lowest id among equals

}  // namespace quern
