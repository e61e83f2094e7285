#include "server/http/answer.h"

#include <ctime>

#include "base/check.h"
#include "base/clock.h"
#include "server/http/status.h"

namespace quern {
namespace {

constexpr size_t kMaxTranscript = size_t{16} << 20;  // bytes; what comes after is left out

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday], parts.tm_mday, kMonths[parts.tm_mon],
                     parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

// A value cannot end its line, wherever it came from.
std::string header_value(std::string_view value) {
  std::string out(value);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return out;
}

bool is_sent_away(int status) { return status == 429 || status == 503 || status == 529; }

}  // namespace

void Answer::wake() {
  if (setup_.wake) setup_.wake();
}

void Answer::put_head(int status, std::string_view content_type, std::optional<size_t> length) {
  QUERN_CHECK(!state_.begun, "a request is answered once", status);
  state_.begun = true;
  state_.status = status;
  state_.begun_at = Clock::now();
  const bool bodiless = status == 204 || status == 304;
  chunked_ = !length && !setup_.http10 && !bodiless;
  state_.keep_alive = setup_.keep_alive && (length || chunked_ || bodiless);
  out_ += fmt::format("HTTP/1.1 {} {}\r\ndate: {}\r\n", status, status_text(status), http_date());
  if (!content_type.empty()) out_ += fmt::format("content-type: {}\r\n", content_type);
  for (const auto& [name, value] : setup_.headers) out_ += fmt::format("{}: {}\r\n", name, header_value(value));
  for (const auto& [name, value] : headers_) out_ += fmt::format("{}: {}\r\n", name, header_value(value));
  if (is_sent_away(status) && setup_.retry_after) out_ += fmt::format("retry-after: {}\r\n", setup_.retry_after());
  out_ += "x-content-type-options: nosniff\r\n";
  if (length && !bodiless) out_ += fmt::format("content-length: {}\r\n", *length);
  if (chunked_) out_ += "transfer-encoding: chunked\r\n";
  if (!state_.keep_alive)
    out_ += "connection: close\r\n";
  else if (setup_.http10)
    out_ += "connection: keep-alive\r\n";
  out_ += "\r\n";
}

void Answer::put_body(std::string_view bytes) {
  if (bytes.empty() || setup_.head_only) return;
  state_.body += bytes.size();
  if (chunked_)
    out_ += fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
  else
    out_ += bytes;
  if (setup_.transcript && state_.body <= kMaxTranscript) transcript_.push_back({Clock::now(), std::string(bytes)});
}

void Answer::put_end() {
  if (chunked_ && !setup_.head_only) out_ += "0\r\n\r\n";
  ended_ = true;
}

void Answer::send(int status, std::string_view content_type, std::string body) {
  const std::lock_guard lock(mutex_);
  put_head(status, content_type, body.size());
  put_body(body);
  ended_ = true;
  wake();
}

bool Answer::begin(int status, std::string_view content_type) {
  const std::lock_guard lock(mutex_);
  put_head(status, content_type, {});
  streaming_ = true;
  wake();
  return !closed_ && !setup_.head_only;
}

bool Answer::write(std::string_view bytes) {
  std::unique_lock lock(mutex_);
  QUERN_CHECK(streaming_ && !ended_, "write() before begin() or after the end");
  if (closed_ || setup_.head_only) return false;
  put_body(bytes);
  wake();
  room_.wait(lock, [&] { return closed_ || out_.size() + unsent_ <= setup_.buffered; });
  return !closed_;
}

bool Answer::write_last(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  QUERN_CHECK(streaming_ && !ended_, "write_last() before begin() or after the end");
  if (closed_ || setup_.head_only) return false;
  put_body(bytes);
  put_end();
  wake();
  return true;
}

void Answer::while_silent(std::string bytes) {
  const std::lock_guard lock(mutex_);
  silent_ = std::move(bytes);
  wake();
}

void Answer::header(std::string name, std::string value) {
  const std::lock_guard lock(mutex_);
  QUERN_CHECK(!state_.begun, "a header after the answer has begun", name);
  headers_.emplace_back(std::move(name), std::move(value));
}

bool Answer::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_ || (setup_.head_only && state_.begun);
}

void Answer::on_closed(std::function<void()> call) {
  const std::lock_guard calling(call_mutex_);
  if (closed() && call) return call();
  call_ = std::move(call);
}

void Answer::handler_done(End end) {
  const std::lock_guard lock(mutex_);
  if (streaming_ && !ended_) {
    if (end == End::failed)
      state_.broken = true;
    else
      put_end();
  }
  ended_ = true;
  state_.handler_done = true;
  wake();
}

std::string Answer::take() {
  const std::lock_guard lock(mutex_);
  unsent_ += out_.size();
  return std::exchange(out_, {});
}

void Answer::sent(size_t bytes) {
  const std::lock_guard lock(mutex_);
  unsent_ -= bytes;
  room_.notify_all();
}

void Answer::close() {
  const std::lock_guard calling(call_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
    room_.notify_all();
  }
  if (const auto call = std::exchange(call_, nullptr)) call();
}

std::string Answer::silent() const {
  const std::lock_guard lock(mutex_);
  return ended_ || setup_.head_only ? std::string() : silent_;
}

void Answer::send_silent() {
  const std::lock_guard lock(mutex_);
  if (!ended_ && streaming_) put_body(silent_);
}

Answer::State Answer::state() const {
  const std::lock_guard lock(mutex_);
  State state = state_;
  state.complete = ended_ && state.handler_done && out_.empty() && unsent_ == 0;
  return state;
}

std::vector<Answer::Part> Answer::take_transcript() {
  const std::lock_guard lock(mutex_);
  return std::move(transcript_);
}

}  // namespace quern
