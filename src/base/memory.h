// How much memory there is for this process.
#pragma once

#include <cstddef>
#include <filesystem>

namespace quern {

// Bytes that this process can still take without anything being swapped out or killed: MemAvailable of /proc/meminfo, but no more than what
// its control group leaves (memory.max less memory.current, of it and those above). 0: the system does not say.
size_t available_memory();
// Bytes of this process that are in memory (VmRSS). 0: the system does not say.
size_t resident_memory();

// root: where /proc and /sys are, for tests.
size_t available_memory(const std::filesystem::path& root);

}  // namespace quern
