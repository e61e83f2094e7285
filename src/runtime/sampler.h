// Sampling: greedy, or temperature, then top-k, top-p, min-p, drawn with a seeded generator; the same seed and logits give the same token
// on every machine. All arithmetic on probabilities is in f64 after an f32 softmax input.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "constrain/vocabulary.h"
#include "runtime/engine.h"

namespace quern {

class Sampler {
 public:
  explicit Sampler(const SamplingParams& params) : params_(params), random_(params.seed) {}

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
    double weight;  // softmax numerator
  };

  // ForEach: calls a function with each id that may be drawn, in rising order.
  template <class ForEach>
  int32_t draw(std::span<const float> logits, int32_t most_likely, const ForEach& for_each);

  SamplingParams params_;
  Random random_;
  std::vector<Candidate> candidates_;
};

int32_t argmax(std::span<const float> logits);  // the lowest id among equals

}  // namespace quern
