// Questions that a turn asks the person at the page, by ids that nobody can guess.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "server/unique_id.h"

namespace quern {

class Approvals {
 public:
  // Asks, and waits for answer(). ask: tells the person; nothing where `gone` before they said anything.
  std::optional<bool> wait(const std::function<void(const std::string& id)>& ask, const std::function<bool()>& gone) {
    const std::string id = unique_id("ask_");
    {
      const std::lock_guard lock(mutex_);
      open_[id] = std::nullopt;
    }
    ask(id);
    std::unique_lock lock(mutex_);
    while (!open_[id]) {
      changed_.wait_for(lock, std::chrono::milliseconds(100));
      if (open_[id]) break;
      lock.unlock();
      const bool over = gone();
      lock.lock();
      if (over) break;
    }
    const std::optional<bool> answer = open_[id];
    open_.erase(id);
    return answer;
  }

  // False: nobody asks that, or any more.
  bool answer(const std::string& id, bool allowed) {
    const std::lock_guard lock(mutex_);
    const auto question = open_.find(id);
    if (question == open_.end() || question->second) return false;
    question->second = allowed;
    changed_.notify_all();
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::optional<bool>> open_;
};

}  // namespace quern
