#include "chat_view.h"

#include <unistd.h>

#include "agent/report/call_line.h"
#include "command.h"
#include "text/display.h"

namespace quern {
namespace {

using Part = AssistantStream::Part;

std::string one_line(std::string_view text) {
  const size_t end = text.find('\n');
  std::string line = visible_text(without_escape_sequences(text.substr(0, end)), Lines::join);
  if (end != std::string_view::npos && text.find_first_not_of('\n', end) != std::string_view::npos) line += " …";
  return line;
}

}  // namespace

ChatView::ChatView(bool live, bool show_thinking)
    : live_(live), show_thinking_(show_thinking), coloured_(live && may_colour(STDOUT_FILENO)), status_(live) {}

void ChatView::write(std::string_view text) {
  if (text.empty()) return;
  broken_ = !status_.print(text) || broken_;
  at_line_start_ = text.ends_with('\n') || text.ends_with("\n\x1b[0m");
}

void ChatView::end_line() {
  if (!at_line_start_) write("\n");
}

void ChatView::begin(ChatFormat format) {
  format_ = format;
  start_turn();
}

void ChatView::start_turn() {
  last_.reset();
  stream_.emplace(format_ == ChatFormat::thinking, [this](Part part, std::string_view text) {
    const bool wanted = part == Part::content || (part == Part::thinking && show_thinking_ && live_);
    if (!wanted) {
      if (live_ && part == Part::call && last_ != part) status_.thinking("writes a call");
    } else {
      if (last_ != part && last_) end_line();
      status_.hide();
      const std::string shown = visible_text(text);
      write(part == Part::thinking ? painted(shown, colour::dim, coloured_) : shown);
    }
    last_ = part;
  });
  status_.thinking("thinks");
}

void ChatView::show_text(std::string_view text) {
  status_.count_token();
  if (stream_) stream_->feed(text);
}

void ChatView::show(const Event& event) {
  if (std::holds_alternative<TurnEvent>(event)) {
    if (stream_) stream_->finish();
    status_.hide();
    end_line();
  } else if (const auto* call = std::get_if<CallEvent>(&event)) {
    call_ = call_line(call->name, call->arguments);
    if (!live_) return;
    if (!call->warning.empty()) write(painted(visible_text(call->warning, Lines::join), colour::yellow, coloured_) + "\n");
    write(painted(cut_to_width("→ " + call_, terminal_columns(STDOUT_FILENO, 120) - 1), colour::bold, coloured_) + "\n");
    status_.running(call_);
  } else if (std::holds_alternative<ConfirmEvent>(event)) {
    status_.running(call_);
  } else if (const auto* result = std::get_if<ResultEvent>(&event)) {
    status_.hide();
    if (live_) {
      const std::string time = fmt::format(" · {:.2f} s", result->seconds);
      const size_t room = terminal_columns(STDOUT_FILENO, 120) - 1, left = room - std::min(room, 2 + time.size());
      write(painted("  " + cut_to_width(one_line(result->text), left) + time, result->is_error ? colour::red : colour::dim,
                    coloured_) +
            "\n");
    }
    start_turn();
  }
}

void ChatView::end(const EndEvent& event) {
  status_.hide();
  stream_.reset();
  end_line();
  counts_ += event.counts;
  const RunCounts& c = event.counts;
  if (live_ && c.tokens > 0)
    line(painted(fmt::format("{} tokens · {:.1f} tokens/s · {:.1f} s{}", c.tokens, c.tokens_per_s(), c.seconds,
                             event.status == RunStatus::cancelled ? " · interrupted" : ""),
                 colour::dim, coloured_));
}

bool ChatView::shows_whole(std::string_view call_line) const {
  return live_ && display_width(call_line) + 2 < terminal_columns(STDOUT_FILENO, 120);
}

void ChatView::line(std::string_view text) {
  status_.hide();
  write(text);
  write("\n");
}

void ChatView::error(std::string_view text) {
  status_.hide();
  end_line();
  fmt::print(stderr, "{}\n",
             painted(fmt::format("quern: {}", visible_text(text, Lines::join)), colour::red, live_ && may_colour(STDERR_FILENO)));
}

}  // namespace quern
