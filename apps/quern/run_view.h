// What `quern run` shows: one line for each call as it is done, the model's words, a summary; or, with --json, every event as it is.
#pragma once

#include <atomic>
#include <string>

#include "agent/events.h"
#include "agent/tools/tool.h"
#include "text/conversation.h"

namespace quern {

class RunView {
 public:
  explicit RunView(bool json);
  ~RunView();
  RunView(const RunView&) = delete;
  RunView& operator=(const RunView&) = delete;

  void show(const Event& event);
  void count_token();                      // a line on the terminal that says the model is at work
  void clear_status();                     // takes that line away, before anything else is written there
  bool broken() const { return broken_; }  // standard output is gone
  bool ended() const { return ended_; }    // the end event was shown

  // "move_file a.txt -> texts/a.txt", on one line, without anything a terminal would obey.
  static std::string call_line(const std::string& name, const Json& arguments);

 private:
  void write(const std::string& text);
  void show_result(const ResultEvent& event);
  void show_end(const EndEvent& event);
  std::string paint(std::string_view text, std::string_view code) const;

  const bool json_, status_, colour_;
  const size_t columns_;
  bool broken_ = false, ended_ = false, status_shown_ = false;
  std::string call_;    // of the last CallEvent
  double model_s_ = 0;  // of the turn whose first call is not shown yet
  int64_t turn_ = 0, turn_tokens_ = 0;
  double status_at_ = 0;
};

}  // namespace quern
