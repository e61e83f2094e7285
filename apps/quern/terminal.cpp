#include "terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "command.h"
#include "text/display.h"

namespace quern {
namespace {

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

bool obeys_escapes(int fd) {
  const char* term = std::getenv("TERM");
  return ::isatty(fd) == 1 && !(term && std::string_view(term) == "dumb");
}

}  // namespace

bool may_colour(int fd) {
  const char* unwanted = std::getenv("NO_COLOR");
  return obeys_escapes(fd) && !(unwanted && *unwanted);
}

std::string painted(std::string_view text, std::string_view code, bool coloured) {
  return coloured ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

size_t terminal_columns(int fd, size_t otherwise) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? std::max<size_t>(size.ws_col, 20) : otherwise;
}

LiveStatus::LiveStatus(bool wanted) : on_(wanted && obeys_escapes(STDERR_FILENO)), coloured_(on_ && may_colour(STDERR_FILENO)) {}

LiveStatus::~LiveStatus() {
  hide();
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (ticker_.joinable()) ticker_.join();
}

void LiveStatus::begin(Mode mode, std::string what) {
  if (!on_) return;
  const std::lock_guard lock(mutex_);
  mode_ = mode;
  what_ = std::move(what);
  tokens_ = 0;
  since_ = now_s();
  output_.clear();
  draw();
  if (!ticker_.joinable()) ticker_ = std::thread([this] { tick(); });
  wake_.notify_all();
}

void LiveStatus::thinking(std::string what) { begin(Mode::thinking, std::move(what)); }
void LiveStatus::running(std::string what) { begin(Mode::running, std::move(what)); }

void LiveStatus::count_token() {
  if (!on_) return;
  const std::lock_guard lock(mutex_);
  if (++tokens_ == 1) first_token_ = now_s();
}

void LiveStatus::add_output(std::string_view text) {
  if (!on_) return;
  const std::lock_guard lock(mutex_);
  const std::string plain = without_escape_sequences(text);
  for (std::string_view left = plain; !left.empty();) {
    const size_t end = left.find('\n');
    output_.push_back(visible_text(left.substr(0, end), Lines::join));
    if (output_.size() > kOutputLines) output_.pop_front();
    left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
  }
}

void LiveStatus::hide() {
  if (!on_) return;
  const std::lock_guard lock(mutex_);
  erase();
  mode_ = Mode::hidden;
}

bool LiveStatus::print(std::string_view text) {
  if (!on_) return print_out(text).has_value();
  const std::lock_guard lock(mutex_);
  erase();
  const bool printed = print_out(text).has_value();
  if (mode_ != Mode::hidden) draw();
  return printed;
}

// The cursor stands behind the last line; where the window has become narrower, a line takes more rows than when it was drawn.
void LiveStatus::erase() {
  if (drawn_.empty()) return;
  const size_t columns = terminal_columns(STDERR_FILENO, 80);
  size_t rows = 0;
  for (const size_t width : drawn_) rows += std::max<size_t>(1, (width + columns - 1) / columns);
  drawn_.clear();
  std::string text = "\r";
  if (rows > 1) text += fmt::format("\x1b[{}A", rows - 1);
  fmt::print(stderr, "{}\x1b[J", text);
}

std::string LiveStatus::line() const {
  constexpr std::string_view frames[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
  std::string text = fmt::format("{} {}", frames[frame_ % std::size(frames)], what_);
  const double now = now_s();
  if (mode_ == Mode::thinking && tokens_ > 0) {
    text += fmt::format(" · {} token{}", tokens_, tokens_ == 1 ? "" : "s");
    if (now - first_token_ > 0.3) text += fmt::format(" · {:.1f} tokens/s", static_cast<double>(tokens_) / (now - first_token_));
  }
  return text + fmt::format(" · {:.1f} s", now - since_);
}

void LiveStatus::draw() {
  erase();
  const size_t room = terminal_columns(STDERR_FILENO, 80) - 1;  // in the last column some terminals begin a new line
  std::string text;
  for (const std::string& printed : output_) {
    const std::string shown = cut_to_width("     │ " + printed, room);
    text += painted(shown, colour::dim, coloured_) + "\n";
    drawn_.push_back(display_width(shown));
  }
  std::string last = line();
  // The end of the line, with the seconds, is what changes: a long name gives way.
  if (const size_t width = display_width(last); width > room) {
    const size_t what = display_width(what_), over = width - room;
    last = what > over + 8 ? fmt::format("{}{}", cut_to_width(last, what + 2 - over), last.substr(last.find(what_) + what_.size()))
                           : cut_to_width(last, room);
  }
  text += painted(last, colour::dim, coloured_);
  drawn_.push_back(display_width(last));
  fmt::print(stderr, "{}", text);
}

void LiveStatus::tick() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (mode_ == Mode::hidden) {
      wake_.wait(lock, [&] { return stop_ || mode_ != Mode::hidden; });
      continue;
    }
    wake_.wait_for(lock, std::chrono::milliseconds(100));
    if (stop_ || mode_ == Mode::hidden) continue;
    ++frame_;
    draw();
  }
}

}  // namespace quern
