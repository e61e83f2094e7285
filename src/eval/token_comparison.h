// How far a model's predictions move when its weights are stored otherwise: both models read the same tokens, and after each the two
// distributions over the next are compared.
//   KL divergence   sum_v p(v) ln(p(v) / q(v)), p of the source and q of the result, in nats: what the result's prediction loses
//   top-1           whether both find the same token likeliest
//   perplexity      exp of the mean of -ln p(token that does come next)
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "eval/sample.h"
#include "runtime/engine.h"

namespace quern {

struct TokenScore {
  double kl = 0, source_nll = 0, result_nll = 0;  // nats; nll: -ln of the probability of the token that came
  bool same_top = false;
};

// Logits of one position under both models, [vocab] each, and the token that comes next. Logits that are not finite give scores that are not.
TokenScore compare_logits(std::span<const float> source, std::span<const float> result, int32_t next);

// Of many positions; means are 0 where there are none.
struct TokenScores {
  std::vector<TokenScore> scores;

  int64_t tokens() const { return static_cast<int64_t>(scores.size()); }
  double mean_kl() const;
  double kl_quantile(double share) const;  // 0.5: the median; 1: the largest
  double top1_agreement() const;           // 0 to 1
  double source_perplexity() const;
  double result_perplexity() const;
};

struct TokenComparison {
  TokenScores all;
  TokenScores spoken;  // of them, where what comes next is said by the assistant; empty where the sample has no conversations
};

// Both models run side by side, a few hundred tokens at a time: memory holds the two states and the logits of one such part.
// Errors: mismatch (vocabularies of different sizes); out_of_range (an id outside the vocabulary; a logit that is not finite: the message
// has the side, the document and the position); those of Timeline::feed.
Result<TokenComparison> compare_tokens(const Engine& source, const Engine& result, const Sample& sample,
                                       const std::function<void(double done, double total)>& on_progress);

}  // namespace quern
