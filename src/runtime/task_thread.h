// TaskThread: work done on a thread of its own, task by task. Tasks go in and come back: their last owner is always whoever pushed them.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace quern {

template <class Task>
class TaskThread {
 public:
  // work(task) leaves in the task what came of it, and throws nothing.
  explicit TaskThread(std::function<void(Task&)> work) : work_(std::move(work)), thread_([this] { run(); }) {}
  ~TaskThread() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  void push(Task task) {
    {
      const std::lock_guard lock(mutex_);
      ++open_;
      waiting_.push_back(std::move(task));
    }
    wake_.notify_all();
  }
  size_t open() const {  // waiting, being done, or done and not taken
    const std::lock_guard lock(mutex_);
    return open_;
  }
  // What is done. wait: at least one, where any is open.
  std::deque<Task> take(bool wait) {
    std::unique_lock lock(mutex_);
    if (wait) finished_.wait(lock, [&] { return !done_.empty() || open_ == 0; });
    open_ -= done_.size();
    return std::exchange(done_, {});
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return over_ || !waiting_.empty(); });
      if (over_) return;  // what still waits is not done: whoever wants it done waits for it
      Task task = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      work_(task);
      lock.lock();
      done_.push_back(std::move(task));
      finished_.notify_all();
    }
  }

  std::function<void(Task&)> work_;
  mutable std::mutex mutex_;
  std::condition_variable wake_, finished_;
  std::deque<Task> waiting_;
  std::deque<Task> done_;
  size_t open_ = 0;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace quern
