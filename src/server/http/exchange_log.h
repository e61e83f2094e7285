// One line for each exchange and event on standard error, and, where asked for, a file for each exchange. Lines hold no text of prompts or
// answers unless asked for. Written by a thread of its own: who logs never waits for a terminal or a disk.
#pragma once

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"
#include "server/http/record.h"

namespace quern {

enum class LogFormat { none, logfmt, json };

struct ExchangeLogOptions {
  LogFormat format = LogFormat::logfmt;
  bool prompts = false;                              // bodies of requests as well, their first 4 KiB
  std::filesystem::path trace;                       // a folder; empty: no files
  std::function<void(std::string_view line)> write;  // empty: to standard error
};

class ExchangeLog {
 public:
  // Makes the folder, for its owner alone. io: it cannot be made.
  static Result<std::unique_ptr<ExchangeLog>> open(ExchangeLogOptions options);
  ~ExchangeLog();  // what was put is written

  bool wants_transcripts() const { return options_.prompts || !options_.trace.empty(); }
  // From any thread. Beyond some thousand that wait to be written, the next are left out, and their number is logged.
  void put(ExchangeRecord record);
  void event(std::string_view level, std::string message);

 private:
  explicit ExchangeLog(ExchangeLogOptions options);
  void add(std::function<void()> work);
  void work_off();
  void write_line(const Json& fields) const;
  void write_exchange(const ExchangeRecord& record) const;

  const ExchangeLogOptions options_;
  std::mutex mutex_;
  std::condition_variable added_;
  std::deque<std::function<void()>> waiting_;
  size_t left_out_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

// An object's members as key=value; values with spaces, quotes or control characters as JSON strings.
std::string logfmt_line(const Json& fields);
// An exchange as the log has it, and as a trace has it.
Json log_fields(const ExchangeRecord& record, bool with_body);
Json trace_json(const ExchangeRecord& record);

}  // namespace quern
