// The clock that durations are measured with, and the time of day.
#pragma once

#include <chrono>

namespace quern {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Now, as seconds since 1970. It may go backwards.
inline double unix_time() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace quern
