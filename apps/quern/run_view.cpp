#include "run_view.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "command.h"

namespace quern {
namespace {

constexpr std::string_view kRed = "31", kGreen = "32", kYellow = "33", kDim = "2", kBold = "1";

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Names and results come from files and models: no control character reaches the terminal.
std::string plain(std::string_view text, bool keep_lines = false) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool c1 = c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;  // U+0080 to U+009F
    if (c1)
      out += ' ', ++i;
    else
      out += c == '\n' && keep_lines ? '\n' : c < 0x20 || c == 0x7F ? ' ' : text[i];
  }
  return out;
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string shortened(std::string_view text, size_t most) {
  if (characters(text) <= most) return std::string(text);
  size_t end = 0;
  for (size_t left = most; left > 1 && end < text.size(); --left)
    for (++end; end < text.size() && (text[end] & 0xC0) == 0x80;) ++end;
  return std::string(text.substr(0, end)) + "…";
}

std::string padded(std::string text, size_t width) {
  const size_t has = characters(text);
  if (has < width) text.append(width - has, ' ');
  return text;
}

std::string first_line(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const auto more = std::count(text.begin(), text.end(), '\n');
  std::string line = plain(text.substr(0, text.find('\n')));
  if (more > 0) line += fmt::format(" (+{} lines)", more);
  return line;
}

size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40 ? size.ws_col : 120;
}

std::string counted(int64_t n, std::string_view what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }

}  // namespace

RunView::RunView(bool json)
    : json_(json),
      status_(!json && ::isatty(STDERR_FILENO) == 1),
      colour_(!json && ::isatty(STDOUT_FILENO) == 1 && !std::getenv("NO_COLOR")),
      columns_(terminal_columns()) {}
RunView::~RunView() { clear_status(); }

std::string RunView::paint(std::string_view text, std::string_view code) const {
  return colour_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

void RunView::write(const std::string& text) {
  clear_status();
  broken_ = !print_out(text) || broken_;
}

void RunView::clear_status() {
  if (std::exchange(status_shown_, false)) fmt::print(stderr, "\r\x1b[K");
}

void RunView::count_token() {
  ++turn_tokens_;
  const double now = now_s();
  if (!status_ || now - status_at_ < 0.1) return;
  status_at_ = now;
  status_shown_ = true;
  fmt::print(stderr, "\r\x1b[K… turn {}, {}", turn_ + 1, counted(turn_tokens_, "token"));
}

std::string RunView::call_line(const std::string& name, const Json& arguments) {
  std::string line = name.empty() ? "(no call)" : name;
  if (arguments.is_string()) return plain(line + " " + arguments.as_string());  // what could not be read as a call
  std::string_view separator = " ";
  if (arguments.is_object())
    for (const auto& [key, value] : arguments.as_object()) {
      line.append(separator).append(value.is_string() ? value.as_string() : value.dump());
      separator = " -> ";
    }
  return plain(line);
}

void RunView::show(const Event& event) {
  ended_ = ended_ || std::holds_alternative<EndEvent>(event);
  if (json_) return write(event_json(event).dump() + "\n");
  if (const auto* start = std::get_if<StartEvent>(&event)) {
    write(fmt::format("{} in {}\n", paint(start->name.empty() ? "quern run" : plain(start->name), kBold), plain(start->root)));
  } else if (const auto* turn = std::get_if<TurnEvent>(&event)) {
    turn_ = turn->turn;
    turn_tokens_ = 0;
    model_s_ += turn->prefill_s + turn->decode_s;
  } else if (const auto* say = std::get_if<SayEvent>(&event)) {
    write(plain(say->text, /*keep_lines=*/true) + "\n");
  } else if (const auto* call = std::get_if<CallEvent>(&event)) {
    call_ = call_line(call->name, call->arguments);
  } else if (const auto* result = std::get_if<ResultEvent>(&event)) {
    show_result(*result);
  } else if (const auto* check = std::get_if<CheckEvent>(&event); check && !check->passed && !check->output.empty()) {
    write(paint("check: ", kRed) + plain(check->output, /*keep_lines=*/true) + (check->output.ends_with('\n') ? "" : "\n"));
  } else if (const auto* end = std::get_if<EndEvent>(&event)) {
    show_end(*end);
  }
}

// "  3  move_file a.txt -> texts/a.txt     moved a.txt to texts/a.txt   0.41 s": the seconds are the model's and the tool's together.
void RunView::show_result(const ResultEvent& event) {
  const std::string seconds = fmt::format("{:.2f} s", std::exchange(model_s_, 0) + event.seconds);
  const size_t room = columns_ - std::min(columns_ - 30, 8 + seconds.size()), half = room / 2;
  const std::string call = padded(shortened(call_, half), half),
                    text = padded(shortened(first_line(event.text), room - half), room - half);
  write(fmt::format("{:>3}  {} {} {}\n", event.call, call, event.is_error ? paint(text, kRed) : text, paint(seconds, kDim)));
}

void RunView::show_end(const EndEvent& event) {
  const RunCounts& c = event.counts;
  const std::string_view colour = event.status == RunStatus::success ? kGreen : event.status == RunStatus::failed ? kRed : kYellow;
  std::string text = fmt::format("\n{}: {}, {}", paint(run_status_name(event.status), colour), counted(c.calls, "call"),
                                 counted(c.errors, "error"));
  text += fmt::format(" · {}, {}, {:.1f} tokens/s · {:.1f} s\n", counted(c.turns, "turn"), counted(c.tokens, "token"),
                      c.tokens_per_s(), c.seconds);
  text += fmt::format("folder: {}\n", plain(event.root));
  if (event.check_passed) text += fmt::format("check: {}\n", *event.check_passed ? paint("passed", kGreen) : paint("failed", kRed));
  write(text);
}

}  // namespace quern
