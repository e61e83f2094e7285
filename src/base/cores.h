// How many threads are worth starting.
#pragma once

#include <filesystem>

namespace quern {

// The processors that this process may run on, but no more than its control groups grant (cpu.max: a container's share of a machine),
// rounded up; at least 1. `root`: where /proc and /sys are; other than "/" in tests.
int available_cores(const std::filesystem::path& root = "/");

}  // namespace quern
