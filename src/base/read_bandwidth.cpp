#include "base/read_bandwidth.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "base/clock.h"

namespace quern {

double read_bandwidth(ThreadPool& pool) {
  constexpr int64_t kBlock = int64_t{1} << 16, kAhead = 256;                 // of eight bytes
  const std::vector<uint64_t> data(size_t{1} << 27, 0x9E3779B97F4A7C15ULL);  // 1 GiB
  const int64_t blocks = static_cast<int64_t>(data.size()) / kBlock;
  std::vector<uint64_t> sums(static_cast<size_t>(blocks));
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = Clock::now();
    pool.parallel_for(blocks, 16, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const uint64_t* at = data.data() + b * kBlock;
        uint64_t sum[8] = {};
        for (int64_t i = 0; i < kBlock; i += 8) {
          __builtin_prefetch(at + i + kAhead);  // as kernels ask: one core's own prefetcher does not fill the bus on every machine
          for (int k = 0; k < 8; ++k) sum[k] ^= at[i + k];
        }
        sums[static_cast<size_t>(b)] += std::accumulate(sum, sum + 8, static_cast<uint64_t>(repeat));
      }
    });
    best = std::max(best, static_cast<double>(data.size()) * 8 / std::chrono::duration<double>(Clock::now() - start).count());
  }
  volatile uint64_t keep = std::accumulate(sums.begin(), sums.end(), uint64_t{0});  // the sums are used, so they are computed
  static_cast<void>(keep);
  return best;
}

}  // namespace quern
