// What turns tell their reader, until it is asked for. Who puts something in never waits; what can be one update becomes one, and a reader
// who is too far behind is given up.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "server/turn.h"

namespace quern {

class TurnQueue {
 public:
  struct Item {
    int64_t choice = 0;
    TurnUpdate update;
  };
  explicit TurnQueue(int64_t choices, size_t max_bytes = size_t{1} << 20) : open_(choices), max_bytes_(max_bytes) {}

  // False: nobody will read it, so nothing more need be made. TurnEnd and TurnFailed are taken always, once for each choice; for a reader who
  // was given up the end is a failure (busy).
  bool put(int64_t choice, TurnUpdate update);
  // The next update; TurnIdle after idle_s seconds (0: never); nothing once every choice has ended.
  std::optional<Item> take(double idle_s);
  void close();  // the reader has gone

 private:
  bool merge(int64_t choice, TurnUpdate& update);

  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Item> items_;
  size_t bytes_ = 0;
  int64_t open_;  // choices without an end
  const size_t max_bytes_;
  bool closed_ = false, behind_ = false;
};

}  // namespace quern
