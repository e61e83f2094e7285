#include "agent/sandbox/command.h"

#include <algorithm>

#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kMaxLine = 4 << 10;
constexpr double kGlance = 0.1;  // seconds between looks at limits and at whether it was cancelled

class Lines {
 public:
  explicit Lines(const std::function<void(std::string_view)>& sink) : sink_(sink) {}
  void add(std::string_view bytes) {
    if (!sink_) return;
    while (!bytes.empty()) {
      const size_t end = std::min({bytes.find('\n'), bytes.size(), kMaxLine - line_.size()});
      line_ += bytes.substr(0, end);
      bytes.remove_prefix(end);
      if (line_.size() == kMaxLine || bytes.starts_with('\n')) flush();
      if (bytes.starts_with('\n')) bytes.remove_prefix(1);
    }
  }
  void finish() {
    if (sink_ && !line_.empty()) flush();
  }

 private:
  void flush() {
    sink_(replace_invalid_utf8(line_));
    line_.clear();
  }
  const std::function<void(std::string_view)>& sink_;
  std::string line_;
};

// The beginning and the end of what was printed.
class Kept {
 public:
  Kept(size_t first, size_t last) : most_first_(first), most_last_(last) {}
  void add(std::string_view bytes) {
    total_ += bytes.size();
    const size_t to_first = std::min(bytes.size(), most_first_ - first_.size());
    first_ += bytes.substr(0, to_first);
    last_ += bytes.substr(to_first);
    if (last_.size() > 4 * most_last_) last_.erase(0, last_.size() - most_last_);  // not on each read
  }
  size_t total() const { return total_; }
  void give(CommandOutcome& outcome) {
    if (last_.size() > most_last_) last_.erase(0, last_.size() - most_last_);
    outcome.output_bytes = total_;
    outcome.left_out = total_ - first_.size() - last_.size();
    if (outcome.left_out == 0) {  // a character may lie across the two
      first_ += last_;
      last_.clear();
    }
    outcome.first = replace_invalid_utf8(first_);
    outcome.last = replace_invalid_utf8(last_);
  }

 private:
  size_t most_first_, most_last_, total_ = 0;
  std::string first_, last_;
};

class Run {
 public:
  Run(const CommandOptions& options, ChildProcess child)
      : options_(options), child_(std::move(child)), lines_(options.on_line), kept_(options.keep_first, options.keep_last) {}

  CommandOutcome to_its_end() {
    CommandOutcome outcome;
    outcome.confinement = child_.confinement();
    while (!child_.wait(open_ ? 0 : kGlance / 10)) {  // not the end of output: a background process may hold that open
      if (open_ && child_.wait_for_output(kGlance)) take();
      outcome.ended_by_us = reason_to_end();
      if (!outcome.ended_by_us.empty()) break;
    }
    child_.kill();
    outcome.exit_code = child_.wait(0).value_or(128);
    for (int parts = 0; open_ && parts < 1000 && child_.wait_for_output(0); ++parts) take();
    if (outcome.ended_by_us.empty()) outcome.ended_by_us = too_much_output();
    lines_.finish();
    kept_.give(outcome);
    return outcome;
  }

 private:
  void take() {
    std::string part;
    open_ = child_.read(ChildProcess::Stream::output, part) != ChildProcess::ReadState::end;
    kept_.add(part);
    lines_.add(part);
  }

  std::string too_much_output() const {
    const int64_t most = options_.process.sandbox.output_bytes;
    return most > 0 && kept_.total() > static_cast<size_t>(most) ? fmt::format("printed more than {} bytes", most) : "";
  }

  // Output is counted as it comes, the rest looked at now and then: that takes a walk through /proc.
  std::string reason_to_end() {
    if (std::string reason = too_much_output(); !reason.empty()) return reason;
    const auto now = std::chrono::steady_clock::now();
    if (now < next_look_) return {};
    next_look_ = now + std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(kGlance));
    if (options_.cancelled && options_.cancelled()) return "interrupted";
    return child_.exceeded_limit().value_or("");
  }

  const CommandOptions& options_;
  ChildProcess child_;
  Lines lines_;
  Kept kept_;
  bool open_ = true;
  std::chrono::steady_clock::time_point next_look_;
};

}  // namespace

std::string CommandOutcome::text() const {
  return left_out == 0 ? first : fmt::format("{}\n({} bytes left out)\n{}", first, left_out, last);
}

Result<CommandOutcome> run_command(const CommandOptions& options) {
  ProcessOptions process = options.process;
  process.input = ProcessOptions::Input::none;
  process.errors = ProcessOptions::Errors::with_output;
  QUERN_ASSIGN(ChildProcess child, ChildProcess::spawn(process));
  return Run(options, std::move(child)).to_its_end();
}

}  // namespace quern
