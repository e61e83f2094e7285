#include "kernels/int8_peak/int8_peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "base/clock.h"

namespace quern {
namespace {

int32_t multiply_scalar(int64_t rounds) {
  float sums[16] = {}, factor = 1.0f;
  for (int64_t r = 0; r < rounds * (kInt8PeakProducts / 16); ++r) {
    for (float& sum : sums) sum += sum * factor;
    factor = -factor;
  }
  return static_cast<int32_t>(std::min(std::abs(sums[0]), 1.0f));
}

int32_t multiply(Isa isa, int64_t rounds) {
#if defined(__x86_64__)
  if (isa >= Isa::avx512) return avx512::multiply_int8(rounds);
  if (isa == Isa::avx2) return avx2::multiply_int8(rounds);
#endif
  static_cast<void>(isa);
  return multiply_scalar(rounds);
}

}  // namespace

double int8_peak(ThreadPool& pool, Isa isa) {
  const int64_t rounds = isa == Isa::scalar ? 1 << 10 : 1 << 15, tasks = int64_t{pool.size()} * 64;
  std::atomic<int32_t> kept{0};
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = Clock::now();
    pool.parallel_for(tasks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) kept.fetch_add(multiply(isa, rounds), std::memory_order_relaxed);
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(tasks * rounds * kInt8PeakProducts) / seconds);
  }
  return best;
}

}  // namespace quern
