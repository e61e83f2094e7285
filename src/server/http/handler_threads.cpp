#include "server/http/handler_threads.h"

#include <algorithm>
#include <chrono>

namespace quern {
namespace {

constexpr auto kIdle = std::chrono::seconds(20);

}  // namespace

bool HandlerThreads::run(std::function<void()> work, size_t spare) {
  std::unique_lock lock(mutex_);
  if (joining_) return false;
  collect(lock);
  const size_t waiting = idle_ - std::min(idle_, given_work_.size());
  if (waiting == 0 && threads_ >= most_ + spare) return false;
  given_work_.push_back(std::move(work));
  if (waiting > 0) {
    given_.notify_one();
    return true;
  }
  try {
    all_.emplace_back([this] { work_off(); });
  } catch (const std::system_error&) {  // the machine has no more threads
    given_work_.pop_back();
    return false;
  }
  ++threads_;
  return true;
}

void HandlerThreads::work_off() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (given_work_.empty()) {
      ++idle_;
      const bool given = given_.wait_for(lock, kIdle, [&] { return !given_work_.empty() || joining_; });
      --idle_;
      if (given_work_.empty() && (!given || joining_)) break;
      if (given_work_.empty()) continue;
    }
    {
      const std::function<void()> work = std::move(given_work_.front());
      given_work_.pop_front();
      lock.unlock();
      work();
    }
    lock.lock();
  }
  --threads_;
  over_.push_back(std::this_thread::get_id());
  ended_.notify_all();
}

void HandlerThreads::collect(std::unique_lock<std::mutex>& lock) {
  std::vector<std::thread> gone;
  for (const std::thread::id id : over_) {
    const auto at = std::find_if(all_.begin(), all_.end(), [&](const std::thread& thread) { return thread.get_id() == id; });
    gone.push_back(std::move(*at));
    all_.erase(at);
  }
  over_.clear();
  if (gone.empty()) return;
  lock.unlock();
  for (std::thread& thread : gone) thread.join();  // they are past their last line
  lock.lock();
}

void HandlerThreads::join() {
  std::unique_lock lock(mutex_);
  joining_ = true;
  given_.notify_all();
  ended_.wait(lock, [&] { return threads_ == 0; });
  collect(lock);
}

}  // namespace quern
