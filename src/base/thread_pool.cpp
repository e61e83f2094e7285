#include "base/thread_pool.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quern {
namespace {

constexpr int kSpins = 20000;  // about 50 us: longer than the gaps inside a forward pass, short beside a pause between tokens

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  QUERN_CHECK(threads >= 1, threads);
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    epoch_.fetch_add(1);
  }
  wake_.notify_all();
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
  {
    std::lock_guard lock(mutex_);
    job_ = {&task, count, grain};
    next_.store(0, std::memory_order_relaxed);
    running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  take_ranges(job_);
  for (int spins = 0; running_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpins)
      pause_cpu();
    else
      std::this_thread::yield();
  }
  if (failed_.exchange(false, std::memory_order_relaxed))
    std::rethrow_exception(std::exchange(exception_, nullptr));  // the workers are done: no lock
}

void ThreadPool::take_ranges(const Job& job) {
  try {
    while (!failed_.load(std::memory_order_relaxed)) {
      const int64_t begin = next_.fetch_add(job.grain, std::memory_order_relaxed);
      if (begin >= job.count) return;
      (*job.task)(begin, std::min(begin + job.grain, job.count));
    }
  } catch (...) {
    std::lock_guard lock(mutex_);
    if (!failed_.exchange(true, std::memory_order_relaxed)) exception_ = std::current_exception();
  }
}

void ThreadPool::work() {
  uint64_t seen = 0;
  for (;;) {
    for (int spins = 0; spins < kSpins && epoch_.load(std::memory_order_acquire) == seen; ++spins) pause_cpu();
    if (epoch_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return epoch_.load(std::memory_order_relaxed) != seen; });
    }
    ++seen;  // jobs never overlap: the next one starts only when every worker has finished this one
    if (stop_) return;
    take_ranges(job_);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace quern
