#include "agent/mcp/sse.h"

#include <algorithm>
#include <charconv>

namespace quern {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kMaxId = 1024;  // it goes into a header of the next request

}  // namespace

Result<void> SseParser::feed(std::string_view bytes, const std::function<void(SseEvent)>& on_event) {
  while (!bytes.empty()) {
    if (std::exchange(after_return_, false) && bytes.front() == '\n') {  // "\r\n" is one end of a line, also across two parts
      bytes.remove_prefix(1);
      continue;
    }
    const size_t end = std::min(bytes.find_first_of("\r\n"), bytes.size());
    if (line_.size() + end + data_.size() > max_event_bytes_)
      return fail(Errc::out_of_range, "an event of more than {} bytes", max_event_bytes_);
    line_ += bytes.substr(0, end);
    if (end == bytes.size()) return {};
    after_return_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    const std::string line = std::exchange(line_, {});
    std::string_view text = line;
    if (std::exchange(at_start_, false) && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    take_line(text, on_event);
  }
  return {};
}

void SseParser::take_line(std::string_view line, const std::function<void(SseEvent)>& on_event) {
  if (line.empty()) {
    last_id_ = id_;
    if (std::exchange(has_data_, false)) on_event({type_.empty() ? "message" : type_, std::exchange(data_, {})});
    type_.clear();
    return;
  }
  const size_t colon = std::min(line.find(':'), line.size());
  const std::string_view field = line.substr(0, colon);  // empty: a comment
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (std::exchange(has_data_, true)) data_ += '\n';
    data_ += value;
  } else if (field == "event") {
    type_ = value;
  } else if (field == "id") {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
    if (value.size() <= kMaxId && std::none_of(value.begin(), value.end(), is_control)) id_ = value;
  } else if (field == "retry") {
    int64_t milliseconds = 0;
    const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), milliseconds);
    if (error == std::errc() && stop == value.data() + value.size() && milliseconds >= 0) retry_ms_ = milliseconds;
  }
}

void SseParser::restart() {
  line_.clear();
  data_.clear();
  type_.clear();
  id_ = last_id_;
  after_return_ = has_data_ = false;
  at_start_ = true;
}

}  // namespace quern
