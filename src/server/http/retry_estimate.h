// How long somebody who was sent away (429, 503) should wait before asking again: until about half of what was asked before them has been
// answered. Answers took s seconds lately, r are being made, w wait: the last of them has its answer in (1 + w / r) s.
#pragma once

#include <cstdint>
#include <mutex>

namespace quern {

// From any thread.
class RetryEstimate {
 public:
  static constexpr int kLeast = 1, kMost = 60;

  // An answer that was generated took so long, without its wait in a queue.
  void count(double seconds);
  // Whole seconds, from kLeast to kMost; while nothing is known, kLeast.
  int seconds(int64_t running, int64_t waiting) const;

 private:
  mutable std::mutex mutex_;
  double answer_s_ = 0;  // the mean of the last few, 0: there was none
};

}  // namespace quern
