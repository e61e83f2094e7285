#include "server/http/exchange_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/file.h"
#include "base/utf8.h"

namespace quern {
namespace {

using SystemTime = std::chrono::system_clock::time_point;

constexpr size_t kMaxWaiting = 4096, kMaxLoggedBody = 4 << 10;

// 2026-11-28T01:19:24.123Z
std::string timestamp(SystemTime time) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const auto seconds = static_cast<std::time_t>(milliseconds / 1000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec, milliseconds % 1000);
}

double rounded(double value, double steps) { return static_cast<double>(static_cast<int64_t>(value * steps + 0.5)) / steps; }

void write_stderr(std::string_view line) {
  while (!line.empty()) {
    const ssize_t put = ::write(STDERR_FILENO, line.data(), line.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return;  // nobody reads it
    line.remove_prefix(static_cast<size_t>(put));
  }
}

// A body as JSON where it is JSON, else as text.
Json body_json(const std::string& body) {
  if (auto parsed = Json::parse(body, "body")) return std::move(*parsed);
  return replace_invalid_utf8(body);
}

Json headers_json(const HttpHeaders& headers) {
  Json all = Json::array();
  for (const auto& [name, value] : headers.fields()) {
    Json pair = Json::array();
    pair.push_back(replace_invalid_utf8(name));
    pair.push_back(replace_invalid_utf8(value));
    all.push_back(std::move(pair));
  }
  return all;
}

}  // namespace

std::string logfmt_line(const Json& fields) {
  std::string line;
  for (const auto& [key, value] : fields.as_object()) {
    if (!line.empty()) line += ' ';
    line += key + '=';
    if (!value.is_string()) {
      value.dump_to(line, Json::Spacing::compact);
      continue;
    }
    const std::string& text = value.as_string();
    const bool plain = !text.empty() && text.find_first_of(" \"=\\") == std::string::npos && printable_line(text) == text;
    if (plain)
      line += text;
    else
      append_json_string(line, printable_line(text));
  }
  return line;
}

Json log_fields(const ExchangeRecord& record, bool with_body) {
  Json fields = Json::object();
  fields["time"] = timestamp(record.begun);
  fields["level"] = record.status >= 500 ? "error" : record.cut_off || record.status >= 400 ? "warn" : "info";
  fields["msg"] = "request";
  fields["id"] = record.id;
  fields["client"] = record.client;
  if (record.address != record.client) fields["address"] = record.address;
  fields["method"] = record.method.substr(0, 20);
  fields["route"] = record.route.empty() ? "none" : record.route;
  fields["status"] = record.status;
  fields["ms"] = rounded(record.seconds * 1000, 10);
  if (record.first_byte_s >= 0) fields["first_byte_ms"] = rounded(record.first_byte_s * 1000, 10);
  fields["received"] = static_cast<int64_t>(record.received);
  fields["sent"] = static_cast<int64_t>(record.sent);
  const ExchangeNotes& notes = record.notes;
  if (!notes.model.empty()) fields["model"] = notes.model;
  if (notes.queued_s >= 0) fields["queued_ms"] = rounded(notes.queued_s * 1000, 10);
  if (notes.prompt_tokens >= 0) fields["prompt_tokens"] = notes.prompt_tokens;
  if (notes.reused_tokens >= 0) fields["reused_tokens"] = notes.reused_tokens;
  if (notes.tokens >= 0) fields["tokens"] = notes.tokens;
  if (!notes.finish.empty()) fields["finish"] = notes.finish;
  if (record.cut_off) fields["cut_off"] = true;
  if (with_body && record.transcript) fields["body"] = replace_invalid_utf8(record.transcript->body.substr(0, kMaxLoggedBody));
  return fields;
}

Json trace_json(const ExchangeRecord& record) {
  Json trace = log_fields(record, false);
  if (!record.transcript) return trace;
  const Transcript& transcript = *record.transcript;
  Json request = Json::object(), query = Json::object(), answer = Json::array();
  request["path"] = transcript.path;
  for (const auto& [name, value] : transcript.query) query[name] = value;
  request["query"] = std::move(query);
  request["headers"] = headers_json(transcript.headers);
  request["body"] = body_json(transcript.body);
  trace["request"] = std::move(request);
  for (const Transcript::Part& part : transcript.answer) {
    Json piece = Json::object();
    piece["ms"] = rounded(part.seconds * 1000, 10);
    piece["body"] = transcript.answer.size() == 1 ? body_json(part.bytes) : Json(replace_invalid_utf8(part.bytes));
    answer.push_back(std::move(piece));
  }
  trace["answer"] = std::move(answer);
  return trace;
}

ExchangeLog::ExchangeLog(ExchangeLogOptions options) : options_(std::move(options)), thread_([this] { work_off(); }) {}

Result<std::unique_ptr<ExchangeLog>> ExchangeLog::open(ExchangeLogOptions options) {
  if (!options.trace.empty()) {
    QUERN_TRY(make_private_folders(options.trace));
    ::chmod(options.trace.c_str(), 0700);
  }
  return std::unique_ptr<ExchangeLog>(new ExchangeLog(std::move(options)));
}

ExchangeLog::~ExchangeLog() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    added_.notify_one();
  }
  thread_.join();
}

void ExchangeLog::add(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= kMaxWaiting) {
    ++left_out_;
    return;
  }
  waiting_.push_back(std::move(work));
  added_.notify_one();
}

void ExchangeLog::work_off() {
  std::unique_lock lock(mutex_);
  for (;;) {
    added_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto work = std::move(waiting_.front());
    waiting_.pop_front();
    const size_t left_out = std::exchange(left_out_, 0);
    lock.unlock();
    work();
    if (left_out > 0) {
      Json fields = Json::object();
      fields["time"] = timestamp(std::chrono::system_clock::now());
      fields["level"] = "warn";
      fields["msg"] = fmt::format("{} lines were left out of this log: it is written too slowly", left_out);
      write_line(fields);
    }
    lock.lock();
  }
}

void ExchangeLog::write_line(const Json& fields) const {
  if (options_.format == LogFormat::none) return;
  std::string line = options_.format == LogFormat::json ? fields.dump(Json::Spacing::compact) : logfmt_line(fields);
  line += '\n';
  options_.write ? options_.write(line) : write_stderr(line);
}

void ExchangeLog::write_exchange(const ExchangeRecord& record) const {
  write_line(log_fields(record, options_.prompts));
  if (options_.trace.empty()) return;
  std::string name = timestamp(record.begun) + "-" + record.id + ".json";
  std::erase(name, ':');
  if (const auto written = write_file(options_.trace / name, trace_json(record).dump_indented() + "\n"); !written) {
    Json fields = Json::object();
    fields["time"] = timestamp(std::chrono::system_clock::now());
    fields["level"] = "error";
    fields["msg"] = written.error().message;
    write_line(fields);
  }
}

void ExchangeLog::put(ExchangeRecord record) {
  add([this, record = std::move(record)] { write_exchange(record); });
}

void ExchangeLog::event(std::string_view level, std::string message) {
  Json fields = Json::object();
  fields["time"] = timestamp(std::chrono::system_clock::now());
  fields["level"] = level;
  fields["msg"] = std::move(message);
  add([this, fields = std::move(fields)] { write_line(fields); });
}

}  // namespace quern
