// ThreadPool: a fixed set of workers that share out ranges. Which thread computes an element never changes the element: kernels sum
// inside one element in one thread, so results do not depend on the number of threads. Workers spin for a short while between calls
// (a decoded token makes hundreds), then sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
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
  void work();
  void take_ranges(const Job& job);

  std::vector<std::thread> workers_;
  Job job_;
  std::atomic<int64_t> next_{0};
  std::atomic<uint64_t> epoch_{0};  // one more with each job; workers wait for it to move
  std::atomic<int> running_{0};     // workers that have not finished the current job
  std::atomic<bool> stop_{false}, busy_{false}, failed_{false};
  std::exception_ptr exception_;  // the first of this job's, when failed_
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace quern
