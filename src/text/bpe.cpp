#include "text/bpe.h"

#include <bit>
#include <queue>

#include "base/random.h"

namespace quern {
namespace {

constexpr size_t kShortWord = 48;  // quadratic scanning is faster than a heap up to about here

}  // namespace

Bpe::Bpe(std::vector<int32_t> byte_ids, const std::vector<Merge>& merges) : byte_ids_(std::move(byte_ids)) {
  cells_.resize(std::bit_ceil(merges.size() * 2 + 2));
  mask_ = cells_.size() - 1;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const uint64_t pair = pair_of(merges[rank].left, merges[rank].right);
    uint64_t at = Random::mix(pair) & mask_;
    while (cells_[at].pair != ~uint64_t{0} && cells_[at].pair != pair) at = (at + 1) & mask_;
    if (cells_[at].pair == pair) continue;  // the first of two equal merges counts
    cells_[at] = {pair, {static_cast<int32_t>(rank), merges[rank].merged}};
  }
}

const Bpe::Rule* Bpe::find(int32_t left, int32_t right) const {
  const uint64_t pair = pair_of(left, right);
  for (uint64_t at = Random::mix(pair) & mask_;; at = (at + 1) & mask_) {
    if (cells_[at].pair == pair) return &cells_[at].rule;
    if (cells_[at].pair == ~uint64_t{0}) return nullptr;
  }
}

void Bpe::encode(std::string_view word, std::vector<int32_t>& out, std::vector<int32_t>& scratch) const {
  scratch.clear();
  for (const char c : word)
    if (const int32_t id = byte_ids_[static_cast<unsigned char>(c)]; id >= 0) scratch.push_back(id);
  if (scratch.size() <= kShortWord)
    merge_short(scratch);
  else
    merge_long(scratch);
  out.insert(out.end(), scratch.begin(), scratch.end());
}

void Bpe::merge_short(std::vector<int32_t>& ids) const {
  Rule rules[kShortWord];  // of the pair that starts at i
  const auto rule_at = [&](size_t i) {
    const Rule* rule = i + 1 < ids.size() ? find(ids[i], ids[i + 1]) : nullptr;
    return rule ? *rule : Rule{};
  };
  for (size_t i = 0; i < ids.size(); ++i) rules[i] = rule_at(i);
  for (;;) {
    size_t best = ids.size();
    for (size_t i = 0; i + 1 < ids.size(); ++i)
      if (rules[i].merged >= 0 && (best == ids.size() || rules[i].rank < rules[best].rank)) best = i;
    if (best == ids.size()) return;
    ids[best] = rules[best].merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    for (size_t i = best + 1; i < ids.size(); ++i) rules[i] = rules[i + 1];
    rules[best] = rule_at(best);
    if (best > 0) rules[best - 1] = rule_at(best - 1);
  }
}

// A linked list of parts and a heap of candidate merges, stale ones recognised when they surface: n log n for words of any length.
void Bpe::merge_long(std::vector<int32_t>& ids) const {
  struct Part {
    int32_t id;
    int64_t before, after;  // neighbours, -1 at the ends
  };
  struct Candidate {
    int32_t rank;
    int64_t at;
    int32_t left, right, merged;
    bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
  };
  const auto count = static_cast<int64_t>(ids.size());
  std::vector<Part> parts(ids.size());
  for (int64_t i = 0; i < count; ++i)
    parts[static_cast<size_t>(i)] = {ids[static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1};
  std::priority_queue<Candidate> heap;
  const auto part = [&](int64_t i) -> Part& { return parts[static_cast<size_t>(i)]; };
  const auto consider = [&](int64_t at) {
    if (at < 0 || part(at).after < 0) return;
    const int32_t left = part(at).id, right = part(part(at).after).id;
    if (const Rule* rule = find(left, right)) heap.push({rule->rank, at, left, right, rule->merged});
  };
  for (int64_t i = 0; i < count; ++i) consider(i);
  while (!heap.empty()) {
    const Candidate c = heap.top();
    heap.pop();
    if (part(c.at).id != c.left || part(c.at).after < 0 || part(part(c.at).after).id != c.right) continue;  // stale
    const int64_t gone = part(c.at).after;
    part(c.at).id = c.merged;
    part(c.at).after = part(gone).after;
    part(gone).id = -1;
    if (part(gone).after >= 0) part(part(gone).after).before = c.at;
    consider(c.at);
    consider(part(c.at).before);
  }
  ids.clear();
  for (int64_t i = 0; i >= 0; i = part(i).after) ids.push_back(part(i).id);
}

}  // namespace quern
