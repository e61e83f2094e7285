// Byte-pair encoding over bytes: a word starts as its bytes' tokens; the pair of neighbours with the lowest rank merges until none can.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace quern {

class Bpe {
 public:
  struct Merge {
    int32_t left, right, merged;
  };
  // byte_ids: the token of each single byte, or -1 where the vocabulary has none. Merges in order of rank.
  Bpe(std::vector<int32_t> byte_ids, const std::vector<Merge>& merges);

  // Appends the word's ids. Bytes without a token are dropped, as the reference does without an unknown token.
  void encode(std::string_view word, std::vector<int32_t>& out, std::vector<int32_t>& scratch) const;

 private:
  struct Rule {
    int32_t rank = 0, merged = -1;
  };
  // Open addressing on the pair: one probe usually, no allocation.
  struct Cell {
    uint64_t pair = ~uint64_t{0};
    Rule rule;
  };
  static uint64_t pair_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  const Rule* find(int32_t left, int32_t right) const;
  void merge_short(std::vector<int32_t>& ids) const;
  void merge_long(std::vector<int32_t>& ids) const;

  std::vector<int32_t> byte_ids_;
  std::vector<Cell> cells_;
  uint64_t mask_ = 0;
};

}  // namespace quern
