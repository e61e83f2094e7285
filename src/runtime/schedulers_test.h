// What tests of the scheduler share: a tiny engine whose words mean nothing, jobs for it, and ways to wait for them.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "runtime/scheduler.h"
#include "runtime/tiny_engine_test.h"

namespace quern {

using namespace model_test;

// Letters, and pairs of a small and a capital one; id 1 is where texts end.
inline std::string letters_tokenizer() {
  Json vocab = Json::object();
  for (int32_t id = 0; id < 512; ++id)
    vocab[id >= 486 ? std::string(1, static_cast<char>('a' + id - 486))
                    : fmt::format("{}{}", static_cast<char>('a' + id % 26), static_cast<char>('A' + id / 26))] = id;
  return tokenizer_json(std::move(vocab), Json::array(), Json::array());
}

// What came of a job, waited for.
class Ended {
 public:
  void attach(Job& job) {
    job.on_end = [state = state_](Result<Generation> result, std::unique_ptr<Matcher> constraint) {
      const std::lock_guard lock(state->mutex);
      ++state->times;
      state->result = std::move(result);
      state->constraint = std::move(constraint);
      state->changed.notify_all();
    };
  }
  Result<Generation>& wait() {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->times > 0; });
    return state_->result;
  }
  int times() const {
    const std::lock_guard lock(state_->mutex);
    return state_->times;
  }
  bool has_constraint() const { return state_->constraint != nullptr; }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    int times = 0;
    Result<Generation> result = tl::unexpected(Error{Errc::busy, "not over"});
    std::unique_ptr<Matcher> constraint;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class Schedulers : public TinyEngine {
 protected:
  Schedulers() : TinyEngine(letters_tokenizer()) {}

  static GenerateRequest request(std::vector<int32_t> prompt, int64_t max_tokens, uint64_t seed = 5) {
    return {
        .prompt = std::move(prompt), .sampling = {.temperature = 1, .seed = seed}, .max_tokens = max_tokens, .ignore_eos = true};
  }
  static std::vector<int32_t> text(size_t length, int32_t of) {
    std::vector<int32_t> ids(length);
    for (size_t i = 0; i < length; ++i) ids[i] = static_cast<int32_t>((static_cast<size_t>(of) * 31 + i * i * 7) % 500);
    return ids;
  }
  static std::vector<int32_t> alone(const Engine& e, GenerateRequest r) {
    r.on_token = nullptr, r.on_prefill = nullptr;
    Session session(e);
    auto out = session.generate(r);
    EXPECT_TRUE(out) << out.error().message;
    return out->tokens;
  }
  static Scheduler::Id submit(Scheduler& scheduler, Job job, Ended& ended) {
    ended.attach(job);
    auto id = scheduler.submit(std::move(job));
    EXPECT_TRUE(id) << id.error().message;
    return id.value_or(0);
  }
  static Job job(GenerateRequest r, std::string client = "", int priority = 0) {
    Job j;
    j.request = std::move(r);
    j.client = std::move(client);
    j.priority = priority;
    return j;
  }
};

// Holds the scheduler up at a token of a job's until it is let go on.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void wait_until_reached() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return reached_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false, open_ = false;
};

inline Job gated(Job job, Gate& gate) {
  job.request.on_token = [&gate, first = true](const GeneratedToken&) mutable {
    if (std::exchange(first, false)) gate.pass();
    return true;
  };
  return job;
}

}  // namespace quern
