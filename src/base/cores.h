// How many threads are worth starting.
#pragma once

#include <filesystem>
#include <vector>

namespace quern {

// The physical cores among the processors that this process may run on: processors that share one (hyper-threads, as
// topology/thread_siblings_list in /sys says) are counted once, because they share its multipliers and its way to memory. But no more than the
// control groups grant (cpu.max: a container's share of a machine), rounded up; at least 1. What /sys leaves out or gets wrong is ignored: such
// a processor counts as a core of its own.
int available_cores();

// The parts of it, for tests. root: where /proc and /sys are.
std::vector<int> allowed_processors();  // empty where the system does not say
int available_cores(const std::filesystem::path& root, const std::vector<int>& processors);

}  // namespace quern
