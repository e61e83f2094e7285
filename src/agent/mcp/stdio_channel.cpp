#include "agent/mcp/stdio_channel.h"

#include <signal.h>

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "agent/mcp/line_reader.h"
#include "agent/sandbox/process.h"
#include "base/utf8.h"

namespace quern {
namespace {

constexpr double kWriteTimeout = 30;             // a server that reads nothing for that long will not read any more
constexpr size_t kMaxQueued = size_t{64} << 20;  // bytes that it has not read yet
constexpr size_t kMaxLastWords = 4096;           // of standard error
constexpr size_t kMaxDropped = size_t{1} << 30;  // bytes of lines that were too long, until it is enough
constexpr double kGrace = 1;                     // from the end of its input to SIGTERM, and from there to SIGKILL

// Two threads: one starts the process, reads it and ends it; the other writes, so that a server which neither reads nor is read from
// cannot stop both.
class StdioChannel : public McpChannel {
 public:
  StdioChannel(const StdioServer& server, const McpLimits& limits)
      : server_(server), lines_(limits.message_bytes), max_line_(limits.message_bytes) {}
  ~StdioChannel() override { close(); }

  Result<void> start(Events events) override {
    events_ = std::move(events);
    std::promise<Result<void>> started;
    auto outcome = started.get_future();
    reader_ = std::thread([this, &started] { live(started); });
    return outcome.get();
  }

  Result<void> send(std::string text, const Json&) override {
    const std::lock_guard lock(mutex_);
    if (ended_) return fail(Errc::io, "the server has ended");
    if (queued_bytes_ + text.size() > kMaxQueued) return fail(Errc::io, "the server does not read what it is sent");
    queued_bytes_ += text.size() + 1;
    queue_.push_back(std::move(text) + "\n");
    changed_.notify_all();
    return {};
  }

  void abandon(const Json&) override {}
  void opened(const std::string&) override {}

  void close() override {
    {
      const std::lock_guard lock(mutex_);
      closing_ = ended_ = true;
      changed_.notify_all();
    }
    if (reader_.joinable()) reader_.join();
  }

 private:
  bool is_closing() {
    const std::lock_guard lock(mutex_);
    return closing_;
  }

  void live(std::promise<Result<void>>& started) {
    auto spawned = ChildProcess::spawn({.arguments = server_.command,
                                        .folder = server_.folder,
                                        .environment = server_.environment,
                                        .input = ProcessOptions::Input::pipe,
                                        .errors = ProcessOptions::Errors::own_pipe,
                                        .sandbox = server_.sandbox});
    if (!spawned) return started.set_value(tl::unexpected(spawned.error()));
    ChildProcess process = std::move(*spawned);
    started.set_value({});  // `started` is gone from here on
    std::thread writer([&] { write_all(process); });
    const std::string why = read_all(process);
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      changed_.notify_all();
      if (writing_) ::kill(-process.pid(), SIGKILL);  // waits for room, and its end of the pipe is not ours to close
    }
    writer.join();
    process.close_input();
    const auto code = process.wait(kGrace);
    if (!code) process.terminate(kGrace);
    read_errors(process);
    if (!is_closing()) events_.on_end({Errc::io, obituary(why, code)});
  }

  // Why there is nothing more to read.
  std::string read_all(ChildProcess& process) {
    std::string bytes;
    while (!is_closing()) {
      process.wait_for_output(0.05);
      read_errors(process);
      bytes.clear();
      const auto state = process.read(ChildProcess::Stream::output, bytes);
      if (!bytes.empty()) dropped_bytes_ += bytes.size();
      bool wanted = true;
      lines_.feed(
          bytes,
          [&](std::string_view line) {
            dropped_bytes_ = 0;
            wanted = wanted && events_.on_text(line);
          },
          [&] { events_.on_too_long({Errc::out_of_range, fmt::format("a message of more than {} bytes", max_line_)}); });
      if (state == ChildProcess::ReadState::end || !wanted) return "";
      if (dropped_bytes_ > kMaxDropped) return fmt::format("it sent {} bytes without one message", dropped_bytes_);
      if (const auto limit = process.exceeded_limit()) return *limit;
      const std::lock_guard lock(mutex_);
      if (!write_error_.empty()) return write_error_;
    }
    return "";
  }

  void read_errors(ChildProcess& process) {
    while (process.read(ChildProcess::Stream::errors, last_words_) == ChildProcess::ReadState::some)
      if (last_words_.size() > 4 * kMaxLastWords) last_words_.erase(0, last_words_.size() - kMaxLastWords);
  }

  std::string obituary(const std::string& why, std::optional<int> code) const {
    std::string text = !why.empty() ? why : code ? fmt::format("it ended with exit code {}", *code) : "it closed its output";
    std::string_view words = last_words_;
    while (!words.empty() && (words.back() == '\n' || words.back() == '\r' || words.back() == ' ')) words.remove_suffix(1);
    words.remove_prefix(std::min(words.rfind('\n') + 1, words.size()));
    if (words.empty()) return text;
    if (words.size() > 300) words = words.substr(0, complete_utf8_prefix(words.substr(0, 300)));
    return printable_line(fmt::format("{}; its last words: {}", text, replace_invalid_utf8(words)));
  }

  void write_all(ChildProcess& process) {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return ended_ || !queue_.empty(); });
      if (ended_) return;
      const std::string text = std::move(queue_.front());
      queue_.pop_front();
      writing_ = true;
      lock.unlock();
      const auto written = process.write(text, kWriteTimeout);
      lock.lock();
      writing_ = false;
      queued_bytes_ -= text.size();
      if (!written) {
        write_error_ = written.error().message;
        return;
      }
    }
  }

  const StdioServer server_;
  Events events_;     // set before the threads start
  LineReader lines_;  // with the two below, the reader's
  const size_t max_line_;
  size_t dropped_bytes_ = 0;
  std::string last_words_;
  std::thread reader_;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<std::string> queue_;
  size_t queued_bytes_ = 0;
  std::string write_error_;
  bool closing_ = false, ended_ = false, writing_ = false;
};

}  // namespace

std::unique_ptr<McpChannel> make_stdio_channel(const StdioServer& server, const McpLimits& limits) {
  return std::make_unique<StdioChannel>(server, limits);
}

}  // namespace quern
