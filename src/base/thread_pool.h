// ThreadPool: a fixed set of workers that share out ranges. Which thread computes an element never changes the element: kernels sum
// inside one element in one thread, so results do not depend on the number of threads. Each thread begins with a share of its own, one
// piece of the whole, and walks through it from the front: it reads memory as one stream. Who has finished takes from the ends of the others'.
// Nobody waits for a worker that has not come: where other programs have taken its processor, the others do its share. Threads that wait,
// workers for a call and the caller for workers, look for a short while (a decoded token makes hundreds of calls), then sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace quern {

// parallel_for may be called from one thread at a time, and not from inside a task.
class ThreadPool {
 public:
  // threads >= 1 counts the calling thread: ThreadPool(1) starts none.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls task(begin, end) on disjoint ranges that cover [0, count), each at most `grain` long (>= 1), and returns when all are done.
  // The first exception of a task is thrown here, once no task runs any more; ranges not begun by then are left out.
  using Task = FunctionRef<void(int64_t begin, int64_t end)>;
  void parallel_for(int64_t count, int64_t grain, Task task);

 private:
  struct Job {
    const Task* task = nullptr;
    int64_t count = 0, grain = 1;
  };
  // A thread's ranges that nobody has begun, counted in grains: [first, last), 32 bits each. In a cache line of its own.
  struct alignas(64) Share {
    std::atomic<uint64_t> left{0};
  };
  void work(int thread);
  bool join(uint32_t epoch);
  void leave();
  void take_ranges(const Job& job, int thread);

  std::vector<std::thread> workers_;
  std::unique_ptr<Share[]> shares_;  // of the caller, then of each worker
  Job job_;                          // read by who has joined it, written when nobody has
  std::atomic<uint32_t> epoch_{0};   // one more with each job; workers wait for it to move
  // Who may read the job: its epoch in the upper 32 bits; below, whether it is closed, nobody may join any more, and how many have joined.
  std::atomic<uint64_t> gate_{0};
  std::atomic<uint32_t> empty_{0};  // the caller waits for this to be the epoch: of a closed job that nobody is at any more
  std::atomic<bool> stop_{false}, busy_{false}, failed_{false};
  std::exception_ptr exception_;  // the first of this job's, when failed_
  std::mutex mutex_;              // of exception_
};

}  // namespace quern
