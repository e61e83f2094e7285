#include "run_view.h"

#include <unistd.h>

#include <algorithm>

#include "agent/report/call_line.h"
#include "agent/report/run_report.h"
#include "command.h"
#include "text/display.h"

namespace quern {
namespace {

constexpr size_t kWithoutTerminal = 120;  // columns
constexpr size_t kNarrow = 76;            // below, a call and its result have a line each

std::string first_line(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const auto more = std::count(text.begin(), text.end(), '\n');
  std::string line = visible_text(without_escape_sequences(text.substr(0, text.find('\n'))), Lines::join);
  if (more > 0) line += fmt::format(" (+{} line{})", more, more == 1 ? "" : "s");
  return line;
}

std::string lines_of(std::string_view text) { return visible_text(without_escape_sequences(text)); }

std::string counted(int64_t n, std::string_view what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }

}  // namespace

RunView::RunView(bool json) : json_(json), coloured_(!json && may_colour(STDOUT_FILENO)), status_(!json) {}

std::string RunView::call_line(const std::string& name, const Json& arguments) { return quern::call_line(name, arguments); }

Result<void> RunView::report_to(const std::filesystem::path& path) {
  QUERN_ASSIGN(const AtomicFile tried, AtomicFile::create(path));  // gone again: a tool should not find it in the run's folder
  report_ = path;
  record_.emplace();
  return {};
}

Result<void> RunView::write_report() {
  if (!record_) return {};
  return write_file(report_, run_report(*record_));
}

void RunView::write(const std::string& text) { broken_ = !status_.print(text) || broken_; }

void RunView::show(const Event& event) {
  ended_ = ended_ || std::holds_alternative<EndEvent>(event);
  if (json_ || record_)
    for (const Json& line : recorder_.lines(event)) {
      if (record_) record_->add(line);
      if (json_) write(line.dump() + "\n");
    }
  if (!json_) show_live(event);
}

void RunView::show_live(const Event& event) {
  if (const auto* start = std::get_if<StartEvent>(&event)) {
    write(fmt::format("{} in {}\n", paint(start->name.empty() ? "quern run" : visible_text(start->name, Lines::join), colour::bold),
                      visible_text(start->root, Lines::join)));
    status_.thinking("turn 1");
  } else if (const auto* turn = std::get_if<TurnEvent>(&event)) {
    turn_ = turn->turn;
    model_s_ += turn->prefill_s + turn->decode_s;
  } else if (const auto* say = std::get_if<SayEvent>(&event)) {
    write(lines_of(say->text) + "\n");
  } else if (const auto* call = std::get_if<CallEvent>(&event)) {
    call_ = call_line(call->name, call->arguments);
    status_.running(call_);
    if (!call->warning.empty()) write(paint(visible_text(call->warning, Lines::join), colour::yellow) + "\n");
  } else if (const auto* step = std::get_if<StepEvent>(&event)) {
    show_step(*step);
  } else if (const auto* resumed = std::get_if<ResumeEvent>(&event)) {
    write(paint(fmt::format("goes on with run {}: {}, {} done{}\n", visible_text(resumed->run, Lines::join),
                            counted(resumed->turns, "turn"), counted(resumed->calls, "call"),
                            resumed->same_prompt ? "" : "; its tools are others now"),
                colour::dim));
  } else if (std::holds_alternative<ConfirmEvent>(event)) {
    status_.running(call_);
  } else if (const auto* result = std::get_if<ResultEvent>(&event)) {
    show_call(*result);
    status_.thinking(fmt::format("turn {}", turn_ + 1));
  } else if (const auto* check = std::get_if<CheckEvent>(&event); check && !check->passed && !check->output.empty()) {
    write(paint("check: ", colour::red) + lines_of(check->output) + (check->output.ends_with('\n') ? "" : "\n"));
  } else if (const auto* end = std::get_if<EndEvent>(&event)) {
    status_.hide();
    show_end(*end);
  }
}

// "  3  move_file a.txt -> texts/a.txt     moved a.txt to texts/a.txt   0.41 s": the seconds are the model's and the tool's together.
void RunView::show_call(const ResultEvent& event) {
  const size_t columns = terminal_columns(STDOUT_FILENO, kWithoutTerminal);
  const std::string seconds = fmt::format("{:.2f} s", std::exchange(model_s_, 0) + event.seconds);
  const std::string result = first_line(event.text);
  const auto coloured = [&](const std::string& text) { return event.is_error ? paint(text, colour::red) : text; };
  const size_t around = 7 + seconds.size(), room = columns - std::min(columns - 8, around);
  if (columns < kNarrow) {
    write(fmt::format("{:>3}  {} {}\n     {}\n", event.call, padded_to_width(call_, room), paint(seconds, colour::dim),
                      coloured(cut_to_width(result, columns - 6))));
    return;
  }
  const size_t half = room / 2;
  write(fmt::format("{:>3}  {} {} {}\n", event.call, padded_to_width(call_, half),
                    coloured(padded_to_width(result, room - half - 1)), paint(seconds, colour::dim)));
}

// "steps/read: Read the files.", then its calls, then "steps/read: done · 3.2 s".
void RunView::show_step(const StepEvent& event) {
  const std::string step = visible_text(event.step, Lines::join);
  if (event.state == StepEvent::State::begun) {
    write(fmt::format("{}: {}\n", paint(step, colour::bold), first_line(event.text)));
    status_.thinking(step);
    return;
  }
  status_.hide();
  const bool failed = event.state == StepEvent::State::failed;
  const std::string_view state = failed ? "failed" : event.state == StepEvent::State::done ? "done" : "done earlier";
  write(fmt::format("{}: {}{} · {:.2f} s\n", step, paint(state, failed ? colour::red : colour::green),
                    failed ? ": " + first_line(event.text) : "", event.seconds));
}

void RunView::show_end(const EndEvent& event) {
  const RunCounts& c = event.counts;
  const std::string_view code = event.status == RunStatus::success  ? colour::green
                                : event.status == RunStatus::failed ? colour::red
                                                                    : colour::yellow;
  std::string text =
      fmt::format("\n{}: {}, {}", paint(run_status_name(event.status), code), counted(c.calls, "call"), counted(c.errors, "error"));
  text += fmt::format(" · {}, {}, {:.1f} tokens/s · {:.1f} s\n", counted(c.turns, "turn"), counted(c.tokens, "token"),
                      c.tokens_per_s(), c.seconds);
  text += fmt::format("folder: {}\n", visible_text(event.root, Lines::join));
  if (event.check_passed)
    text += fmt::format("check: {}\n", *event.check_passed ? paint("passed", colour::green) : paint("failed", colour::red));
  write(text);
}

}  // namespace quern
