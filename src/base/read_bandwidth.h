// What a machine's memory gives: the roof of whatever reads more than the caches hold.
#pragma once

#include "base/thread_pool.h"

namespace quern {

// Bytes per second that all threads together read from memory: sums over 1 GiB, the best of five.
double read_bandwidth(ThreadPool& pool);

}  // namespace quern
