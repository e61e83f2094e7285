#include "runtime/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace quern {
namespace {

// `a` before `b`, which stands earlier: equals keep the earlier one, and no NaN wins over a number.
bool likelier(float a, float b) { return a > b || (std::isnan(b) && !std::isnan(a)); }

template <class F>
void for_each_id(const TokenMask& mask, size_t limit, const F& f) {
  const auto words = mask.words();
  for (size_t w = 0; w < words.size() && w * 64 < limit; ++w)
    for (uint64_t bits = words[w]; bits != 0; bits &= bits - 1) {
      const size_t id = w * 64 + static_cast<size_t>(std::countr_zero(bits));
      if (id < limit) f(id);
    }
}

}  // namespace

int32_t argmax(std::span<const float> logits) {
  size_t best = 0;
  const auto look = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i)
      if (likelier(logits[i], logits[best])) best = i;
  };
  // Few of a hundred thousand are larger than all before them: most blocks have none, which a comparison of many at once finds out.
  constexpr size_t kBlock = 64;
  size_t at = 0;
  for (; at + kBlock <= logits.size(); at += kBlock) {
    const float* block = logits.data() + at;
    const float highest = logits[best];
    int any = std::isnan(highest) ? 1 : 0;
    for (size_t i = 0; i < kBlock; ++i) any |= block[i] > highest ? 1 : 0;
    if (any != 0) look(at, at + kBlock);
  }
  look(at, logits.size());
  return static_cast<int32_t>(best);
}

Sampler::Sampler(SamplingParams params) : params_(std::move(params)), random_(params_.seed) {
  penalises_ = params_.repetition_penalty != 1 || params_.presence_penalty != 0 || params_.frequency_penalty != 0;
}

void Sampler::see_prompt(std::span<const int32_t> prompt) {
  if (params_.repetition_penalty == 1) return;  // the others look at what was generated alone
  for (const int32_t id : prompt) seen_[id].in_prompt = true;
}

void Sampler::see_generated(int32_t id) {
  if (penalises_) ++seen_[id].generated;
}

// Each id's change depends on that id alone: the order in which they are visited does not matter.
std::span<const float> Sampler::adjusted(std::span<const float> logits) {
  if (seen_.empty() && params_.logit_bias.empty()) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  const auto repetition = static_cast<float>(params_.repetition_penalty);
  for (const auto& [id, seen] : seen_) {
    if (id < 0 || static_cast<size_t>(id) >= adjusted_.size()) continue;
    float& logit = adjusted_[static_cast<size_t>(id)];
    if (repetition != 1) logit = logit < 0 ? logit * repetition : logit / repetition;
    if (seen.generated > 0)
      logit -= static_cast<float>(params_.presence_penalty + params_.frequency_penalty * static_cast<double>(seen.generated));
  }
  for (const auto& [id, bias] : params_.logit_bias)
    if (id >= 0 && static_cast<size_t>(id) < adjusted_.size()) adjusted_[static_cast<size_t>(id)] += bias;
  return adjusted_;
}

int32_t Sampler::sample(std::span<const float> logits, int64_t limit) {
  logits = adjusted(logits.first(std::min(logits.size(), static_cast<size_t>(limit))));
  return draw(logits, argmax(logits), [&](const auto& f) {
    for (size_t i = 0; i < logits.size(); ++i) f(i);
  });
}

int32_t Sampler::sample(std::span<const float> logits, int64_t limit, const TokenMask& allowed) {
  logits = adjusted(logits.first(std::min(logits.size(), static_cast<size_t>(limit))));
  int32_t most_likely = -1;
  for_each_id(allowed, logits.size(), [&](size_t i) {
    if (most_likely < 0 || likelier(logits[i], logits[static_cast<size_t>(most_likely)])) most_likely = static_cast<int32_t>(i);
  });
  if (most_likely < 0) return -1;
  return draw(logits, most_likely, [&](const auto& f) { for_each_id(allowed, logits.size(), f); });
}

double log_probability(std::span<const float> logits, int64_t limit, int32_t id, int count, std::vector<TokenProbability>& top) {
  logits = logits.first(std::min(logits.size(), static_cast<size_t>(limit)));
  const auto highest = static_cast<double>(logits[static_cast<size_t>(argmax(logits))]);
  double sum = 0;
  for (const float logit : logits)
    if (!std::isnan(logit)) sum += static_cast<double>(logit) == highest ? 1 : std::exp(static_cast<double>(logit) - highest);
  const double log_sum = std::log(sum);
  const auto logprob = [&](size_t i) {
    const auto logit = static_cast<double>(logits[i]);
    return (logit == highest ? 0 : logit - highest) - log_sum;  // inf - inf would be NaN
  };
  top.clear();
  const auto wanted = std::min(static_cast<size_t>(std::max(count, 0)), logits.size());
  for (size_t i = 0; wanted > 0 && i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || (top.size() == wanted && !(logits[i] > logits[static_cast<size_t>(top.back().id)]))) continue;
    if (top.size() == wanted) top.pop_back();
    const auto at = std::find_if(top.begin(), top.end(),
                                 [&](const TokenProbability& t) { return logits[i] > logits[static_cast<size_t>(t.id)]; });
    top.insert(at, {static_cast<int32_t>(i), logprob(i)});
  }
  return logprob(static_cast<size_t>(id));
}

// Candidates are put in order only as far as anybody looks: sorting a hundred thousand of them for each token took longer than the token.
void Sampler::sort_first(size_t count) {
  count = std::min(count, candidates_.size());
  if (count <= sorted_) return;
  const size_t end = std::min(candidates_.size(), std::max(count, 4 * sorted_ + 64));
  const auto at = [&](size_t i) { return candidates_.begin() + static_cast<std::ptrdiff_t>(i); };
  if (end < candidates_.size()) std::nth_element(at(sorted_), at(end), candidates_.end(), before);
  std::sort(at(sorted_), at(end), before);
  sorted_ = end;
}

// Fills candidates_: what may be drawn and has a probability, the top_k of it; not in order.
template <class ForEach>
void Sampler::gather(std::span<const float> logits, int32_t most_likely, const ForEach& for_each) {
  const auto most = params_.top_k > 0 ? static_cast<size_t>(params_.top_k) : logits.size();
  constexpr size_t kHeap = 1024;  // of more, all are gathered first
  candidates_.clear();
  sorted_ = 0;
  for_each([&](size_t i) {
    // What has no probability is no candidate: masked ids (-inf), and NaNs, which would also break the order of the sort.
    if (!(logits[i] > -std::numeric_limits<float>::infinity())) return;
    if (candidates_.size() >= most && most <= kHeap) {
      if (!(logits[i] > candidates_.front().logit)) return;  // ids rise: of equals, the ones there stay
      std::pop_heap(candidates_.begin(), candidates_.end(), before);
      candidates_.pop_back();
    }
    candidates_.push_back({static_cast<int32_t>(i), logits[i], 0});
    if (most <= kHeap) std::push_heap(candidates_.begin(), candidates_.end(), before);
  });
  if (candidates_.size() > most) {
    sort_first(most);
    candidates_.resize(most), sorted_ = most;
  }
  const auto highest = static_cast<double>(logits[static_cast<size_t>(most_likely)]);
  for (Candidate& c : candidates_) {
    const auto logit = static_cast<double>(c.logit);
    c.weight = logit == highest ? 1 : std::exp((logit - highest) / params_.temperature);  // inf - inf would be NaN
  }
  if (std::erase_if(candidates_, [](const Candidate& c) { return !(c.weight > 0); }) > 0) sorted_ = 0;
}

template <class ForEach>
int32_t Sampler::draw(std::span<const float> logits, int32_t most_likely, const ForEach& for_each) {
  if (greedy() || logits.empty()) return most_likely;
  gather(logits, most_likely, for_each);
  if (candidates_.empty()) return most_likely;
  const auto total_weight = [&] {
    double total = 0;
    for (const Candidate& c : candidates_) total += c.weight;
    return total;
  };
  double total = total_weight();
  if (params_.top_p < 1) {  // the fewest whose probability reaches top_p, never none
    double sum = 0;
    size_t n = 0;
    for (; n < candidates_.size() && (n == 0 || sum < params_.top_p * total); ++n) {
      sort_first(n + 1);
      sum += candidates_[n].weight;
    }
    candidates_.resize(n), sorted_ = n;
  }
  // min_p is relative to the most probable token, whose weight is 1.
  if (params_.min_p > 0) {
    sort_first(1);
    const Candidate first = candidates_.front();
    if (std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < params_.min_p && c.id != first.id; }) > 0)
      sorted_ = 0;
  }
  total = total_weight();
  double at = random_.unit() * total;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    sort_first(i + 1);
    at -= candidates_[i].weight;
    if (at < 0) return candidates_[i].id;
  }
  return candidates_.back().id;
}

}  // namespace quern
