// Server-sent events (text/event-stream), read from bytes as they arrive in whatever parts.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quern {

struct SseEvent {
  std::string type;  // "message" where none was said
  std::string data;
};

class SseParser {
 public:
  explicit SseParser(size_t max_event_bytes) : max_event_bytes_(max_event_bytes) {}

  // Calls on_event for each event that is complete. out_of_range: an event of more than max_event_bytes.
  Result<void> feed(std::string_view bytes, const std::function<void(SseEvent)>& on_event);
  // Forgets an event that was under way: its stream is over.
  void restart();

  const std::string& last_id() const { return last_id_; }  // survives restart(); empty: none was given
  std::optional<int64_t> retry_ms() const {
    return retry_ms_;
  }  // how long to wait before connecting again, where the server says so

 private:
  void take_line(std::string_view line, const std::function<void(SseEvent)>& on_event);

  size_t max_event_bytes_;
  std::string line_, data_, type_, id_, last_id_;
  bool after_return_ = false, has_data_ = false, at_start_ = true;
  std::optional<int64_t> retry_ms_;
};

}  // namespace quern
