#include "constrain/pending.h"

#include <algorithm>

namespace quern {

Pending group(const std::vector<Step>& steps) {
  Pending out;
  for (const Step& step : steps) {
    auto it = std::lower_bound(out.slots.begin(), out.slots.end(), step.goal, [](const Slot& s, GoalId g) { return s.goal < g; });
    if (it == out.slots.end() || it->goal != step.goal) it = out.slots.insert(it, Slot{.goal = step.goal, .next = {}});
    const auto place = std::lower_bound(it->next.begin(), it->next.end(), step.next);
    if (place == it->next.end() || *place != step.next) it->next.insert(place, step.next);
  }
  return out;
}

void sort_threads(std::vector<Thread>& threads) {
  std::sort(threads.begin(), threads.end());
  threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
}

void add_threads(HashMix& h, const std::vector<Thread>& threads) {
  for (const Thread& t : threads) {
    h.add(reinterpret_cast<uintptr_t>(t.object) ^ reinterpret_cast<uintptr_t>(t.array));
    h.add((static_cast<uint64_t>(t.slot) << 32) ^ t.a);
    h.add(static_cast<uint64_t>(t.b) ^ (static_cast<uint64_t>(t.c) << 32));
    h.add(static_cast<uint64_t>(t.room));
  }
}

uint64_t PendingHash::operator()(const Pending& p) const {
  HashMix h;
  for (const Slot& s : p.slots) {
    h.add(static_cast<uint64_t>(s.goal));
    add_threads(h, s.next);
  }
  return h.value();
}

}  // namespace quern
