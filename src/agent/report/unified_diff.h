// What `diff -u` prints below its two file names: the fewest removed and added lines, in hunks with lines around them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace quern {

struct UnifiedDiff {
  std::string text;  // hunks; empty when both are the same
  int64_t added = 0, removed = 0;
};

// Texts that differ in more than kMostEdits lines are shown as one replaced by the other between their common beginning and end: right,
// but not the shortest.
constexpr int64_t kMostEdits = 1500;
UnifiedDiff unified_diff(std::string_view before, std::string_view after, int64_t context = 3);

}  // namespace quern
