#include "runtime/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>

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

int32_t Sampler::sample(std::span<const float> logits, int64_t limit) {
  logits = logits.first(std::min(logits.size(), static_cast<size_t>(limit)));
  return draw(logits, argmax(logits), [&](const auto& f) {
    for (size_t i = 0; i < logits.size(); ++i) f(i);
  });
}

int32_t Sampler::sample(std::span<const float> logits, int64_t limit, const TokenMask& allowed) {
  logits = logits.first(std::min(logits.size(), static_cast<size_t>(limit)));
  int32_t most_likely = -1;
  for_each_id(allowed, logits.size(), [&](size_t i) {
    if (most_likely < 0 || likelier(logits[i], logits[static_cast<size_t>(most_likely)])) most_likely = static_cast<int32_t>(i);
  });
  if (most_likely < 0) return -1;
  return draw(logits, most_likely, [&](const auto& f) { for_each_id(allowed, logits.size(), f); });
}

template <class ForEach>
int32_t Sampler::draw(std::span<const float> logits, int32_t most_likely, const ForEach& for_each) {
  if (greedy() || logits.empty()) return most_likely;

  // What has no probability is no candidate: masked ids (-inf), and NaNs, which would also break the order of the sort.
  const double highest = static_cast<double>(logits[static_cast<size_t>(most_likely)]);
  candidates_.clear();
  for_each([&](size_t i) {
    const auto logit = static_cast<double>(logits[i]);
    const double weight = logit == highest ? 1 : std::exp((logit - highest) / params_.temperature);  // inf - inf would be NaN
    if (weight > 0) candidates_.push_back({static_cast<int32_t>(i), weight});
  });
  if (candidates_.empty()) return most_likely;
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
  };
  size_t kept = candidates_.size();
  if (params_.top_k > 0) kept = std::min(kept, static_cast<size_t>(params_.top_k));
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(kept), candidates_.end(), before);
  candidates_.resize(kept);

  double total = 0;
  for (const Candidate& c : candidates_) total += c.weight;
  if (params_.top_p < 1) {  // the fewest whose probability reaches top_p, never none
    double sum = 0;
    size_t n = 0;
    while (n < candidates_.size() && (n == 0 || sum < params_.top_p * total)) sum += candidates_[n++].weight;
    candidates_.resize(n);
  }
  // min_p is relative to the most probable token, whose weight is 1.
  while (candidates_.size() > 1 && candidates_.back().weight < params_.min_p) candidates_.pop_back();

  total = 0;
  for (const Candidate& c : candidates_) total += c.weight;
  double at = random_.unit() * total;
  for (const Candidate& c : candidates_) {
    at -= c.weight;
    if (at < 0) return c.id;
  }
  return candidates_.back().id;
}

}  // namespace quern
