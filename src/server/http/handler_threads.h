// Threads that handlers run on: one each while it runs, a bounded number of them. A thread that has had nothing to do for a while ends.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace quern {

class HandlerThreads {
 public:
  explicit HandlerThreads(size_t most) : most_(most) {}
  ~HandlerThreads() { join(); }
  HandlerThreads(const HandlerThreads&) = delete;
  HandlerThreads& operator=(const HandlerThreads&) = delete;

  // False: every thread is busy. `spare`: up to this many more than usual.
  bool run(std::function<void()> work, size_t spare = 0);
  // Waits for what runs. Nothing is run afterwards.
  void join();

 private:
  void work_off();
  void collect(std::unique_lock<std::mutex>& lock);

  const size_t most_;
  std::mutex mutex_;
  std::condition_variable given_, ended_;
  std::deque<std::function<void()>> given_work_;  // to threads that wait for it
  size_t threads_ = 0, idle_ = 0;
  std::vector<std::thread> all_;
  std::vector<std::thread::id> over_;  // of all_, to be joined
  bool joining_ = false;
};

}  // namespace quern
