#include "base/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/clock.h"

namespace quern {
namespace {

// How long a thread looks before it sleeps: longer than the gaps inside a forward pass, short beside the time that a thread has to wait whose
// partner has lost its processor to another program.
constexpr std::chrono::microseconds kPatience{50};

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Returns when value has become another than `old`.
template <class T>
void wait_while(const std::atomic<T>& value, T old) {
  const Clock::time_point start = Clock::now();
  do {
    for (int i = 0; i < 32; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      pause_cpu();
    }
  } while (Clock::now() - start < kPatience);
  value.wait(old, std::memory_order_acquire);
}

// Of a gate.
constexpr uint64_t kClosed = uint64_t{1} << 31, kJoined = kClosed - 1;

constexpr uint64_t share(uint64_t first, uint64_t last) { return first << 32 | last; }

// Takes a grain from the front of a share or from its end.
bool take(std::atomic<uint64_t>& left, bool front, int64_t& grain) {
  uint64_t seen = left.load(std::memory_order_relaxed);
  for (;;) {
    const uint64_t first = seen >> 32, last = seen & std::numeric_limits<uint32_t>::max();
    if (first >= last) return false;
    if (left.compare_exchange_weak(seen, front ? share(first + 1, last) : share(first, last - 1), std::memory_order_relaxed)) {
      grain = static_cast<int64_t>(front ? first : last - 1);
      return true;
    }
  }
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  QUERN_CHECK(threads >= 1, threads);
  shares_ = std::make_unique<Share[]>(static_cast<size_t>(threads));
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::parallel_for(int64_t count, int64_t grain, Task task) {
  QUERN_CHECK(grain >= 1, grain);
  if (count <= 0) return;
  QUERN_CHECK(!busy_.exchange(true, std::memory_order_acquire), "called from inside a task, or from two threads");
  struct Idle {
    std::atomic<bool>& busy;
    ~Idle() { busy.store(false, std::memory_order_release); }
  } idle{busy_};
  if (workers_.empty() || count <= grain) {
    for (int64_t begin = 0; begin < count; begin += grain) task(begin, std::min(begin + grain, count));
    return;
  }
  const uint64_t grains = (static_cast<uint64_t>(count) - 1) / static_cast<uint64_t>(grain) + 1, threads = workers_.size() + 1;
  QUERN_CHECK(grains <= std::numeric_limits<uint32_t>::max(), count, grain);
  for (uint64_t i = 0; i < threads; ++i)
    shares_[i].left.store(share(grains * i / threads, grains * (i + 1) / threads), std::memory_order_relaxed);
  job_ = {&task, count, grain};
  const uint32_t before = epoch_.load(std::memory_order_relaxed), epoch = before + 1;
  gate_.store(uint64_t{epoch} << 32, std::memory_order_release);
  epoch_.store(epoch, std::memory_order_release);
  epoch_.notify_all();
  take_ranges(job_, 0);
  // Every range is done or begun by somebody who has joined.
  if ((gate_.fetch_or(kClosed, std::memory_order_acq_rel) & kJoined) != 0) wait_while(empty_, before);
  empty_.store(epoch, std::memory_order_relaxed);
  if (failed_.exchange(false, std::memory_order_relaxed))
    std::rethrow_exception(std::exchange(exception_, nullptr));  // the workers are done: no lock
}

bool ThreadPool::join(uint32_t epoch) {
  uint64_t gate = gate_.load(std::memory_order_acquire);
  while (gate >> 32 == epoch && (gate & kClosed) == 0)
    if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel)) return true;
  return false;  // done without this worker
}

void ThreadPool::leave() {
  const uint64_t gate = gate_.fetch_sub(1, std::memory_order_acq_rel);
  if ((gate & kClosed) == 0 || (gate & kJoined) != 1) return;
  empty_.store(static_cast<uint32_t>(gate >> 32), std::memory_order_release);
  empty_.notify_one();
}

void ThreadPool::take_ranges(const Job& job, int thread) {
  const auto threads = static_cast<size_t>(size());
  try {
    for (size_t other = 0; other < threads; ++other) {
      Share& from = shares_[(static_cast<size_t>(thread) + other) % threads];
      for (int64_t grain; !failed_.load(std::memory_order_relaxed) && take(from.left, other == 0, grain);) {
        const int64_t begin = grain * job.grain;
        (*job.task)(begin, std::min(begin + job.grain, job.count));
      }
    }
  } catch (...) {
    std::lock_guard lock(mutex_);
    if (!failed_.exchange(true, std::memory_order_relaxed)) exception_ = std::current_exception();
  }
}

void ThreadPool::work(int thread) {
  for (uint32_t seen = 0;;) {
    wait_while(epoch_, seen);
    if (stop_) return;
    seen = epoch_.load(std::memory_order_acquire);
    if (!join(seen)) continue;
    take_ranges(job_, thread);
    leave();
  }
}

}  // namespace quern
