// Questions that a turn asks the person at the page, by ids that nobody can guess.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

#include "server/unique_id.h"

namespace quern {

class Approvals {
 public:
  // Yes or no; or words, and nothing where the person would rather not say.
  using Reply = std::variant<bool, std::optional<std::string>>;
  enum class Kind { yes_or_no, words };

  // Asks, and waits for answer(). ask: tells the person; nothing where `gone` before they said anything. A reply is of the kind.
  std::optional<Reply> wait(Kind kind, const std::function<void(const std::string& id)>& ask, const std::function<bool()>& gone) {
    const std::string id = unique_id("ask_");
    {
      const std::lock_guard lock(mutex_);
      open_[id].kind = kind;
    }
    ask(id);
    std::unique_lock lock(mutex_);
    while (!open_[id].reply) {
      changed_.wait_for(lock, std::chrono::milliseconds(100));
      if (open_[id].reply) break;
      lock.unlock();
      const bool over = gone();
      lock.lock();
      if (over) break;
    }
    std::optional<Reply> reply = std::move(open_[id].reply);
    open_.erase(id);
    return reply;
  }

  // What an open question expects; nothing: nobody asks that, or any more.
  std::optional<Kind> kind(const std::string& id) const {
    const std::lock_guard lock(mutex_);
    const auto question = open_.find(id);
    return question == open_.end() || question->second.reply ? std::nullopt : std::optional(question->second.kind);
  }

  // False: nobody asks that, or any more.
  bool answer(const std::string& id, Reply reply) {
    const std::lock_guard lock(mutex_);
    const auto question = open_.find(id);
    if (question == open_.end() || question->second.reply) return false;
    question->second.reply = std::move(reply);
    changed_.notify_all();
    return true;
  }

 private:
  struct Question {
    Kind kind = Kind::yes_or_no;
    std::optional<Reply> reply;
  };

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Question> open_;
};

}  // namespace quern
