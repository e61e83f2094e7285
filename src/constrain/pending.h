// A value that is to come inside an array or object, for all alternatives that walk the text together: a slot for each goal it may
// satisfy, with the threads that go on when it does.
#pragma once

#include <vector>

#include "constrain/schema_shapes.h"

namespace quern {

struct Slot {
  GoalId goal;
  std::vector<Thread> next;  // of the frame around, when the value satisfies the goal; sorted, at least one
  int32_t room() const { return next.front().room; }
  friend bool operator==(const Slot&, const Slot&) = default;
};

struct Pending {
  std::vector<Slot> slots;  // sorted by goal
  friend bool operator==(const Pending&, const Pending&) = default;
};

// The steps that lead to the same goal share a slot.
Pending group(const std::vector<Step>& steps);

void sort_threads(std::vector<Thread>& threads);  // and each once
void add_threads(HashMix& h, const std::vector<Thread>& threads);
struct PendingHash {
  uint64_t operator()(const Pending& p) const;
};

}  // namespace quern
