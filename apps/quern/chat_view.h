// What `quern chat` shows while the model answers: its words as they come, its thinking dimmed, each call as a line, and what is going on.
// Without a terminal only the words.
#pragma once

#include <optional>
#include <string>

#include "agent/events.h"
#include "terminal.h"
#include "text/assistant_stream.h"
#include "text/chat_template.h"

namespace quern {

class ChatView {
 public:
  // live: on a terminal. show_thinking: the model's reasoning too.
  ChatView(bool live, bool show_thinking);

  void begin(ChatFormat format);  // a question is asked
  void show_text(std::string_view text);
  void show_output(std::string_view text) { status_.add_output(text); }
  void show(const Event& event);
  void end(const EndEvent& event);  // the answer is complete, or as complete as it gets
  void pause() { status_.hide(); }  // somebody else writes to the terminal

  void line(std::string_view text);   // a line of the program's own
  void error(std::string_view text);  // in red, "quern: …" on standard error
  bool broken() const { return broken_; }
  bool shows_whole(std::string_view call_line) const;  // a call that is this long
  bool live() const { return live_; }
  bool coloured() const { return coloured_; }
  // What was said counts, since the beginning.
  const RunCounts& counts() const { return counts_; }

 private:
  void write(std::string_view text);
  void start_turn();
  void end_line();

  const bool live_, show_thinking_, coloured_;
  LiveStatus status_;
  ChatFormat format_ = ChatFormat::instruct;
  std::optional<AssistantStream> stream_;
  std::optional<AssistantStream::Part> last_;
  bool at_line_start_ = true, broken_ = false;
  std::string call_;
  RunCounts counts_;
};

}  // namespace quern
