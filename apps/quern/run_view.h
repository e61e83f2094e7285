// What `quern run` shows: one line for each call as it is done, the model's words, a summary, and meanwhile what is going on; or, with
// --json, every event as it is. And the report, where one is wanted.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/events.h"
#include "agent/report/run_record.h"
#include "agent/report/run_recorder.h"
#include "agent/tools/tool.h"
#include "terminal.h"
#include "text/conversation.h"

namespace quern {

class RunView {
 public:
  explicit RunView(bool json);
  RunView(const RunView&) = delete;
  RunView& operator=(const RunView&) = delete;

  void set_model(std::string name) { recorder_.set_model(std::move(name)); }  // for --json and the report; before the first event
  // An HTML page of the run goes there: nothing until write_report(), but a place that cannot be written to is an error now.
  Result<void> report_to(const std::filesystem::path& path);
  Result<void> write_report();  // nothing to do where none is wanted

  void show(const Event& event);
  void count_token() { status_.count_token(); }                          // the model wrote one
  void show_output(std::string_view text) { status_.add_output(text); }  // a tool at work printed that
  void clear_status() { status_.hide(); }  // takes the live lines away, before anything else is written to the terminal
  bool broken() const { return broken_; }  // standard output is gone
  bool ended() const { return ended_; }    // the end event was shown

  // "move_file a.txt -> texts/a.txt", on one line, without anything a terminal would obey.
  static std::string call_line(const std::string& name, const Json& arguments);

 private:
  void write(const std::string& text);
  void show_live(const Event& event);
  void show_call(const ResultEvent& event);
  void show_step(const StepEvent& event);
  void show_end(const EndEvent& event);
  std::string paint(std::string_view text, std::string_view code) const { return painted(text, code, coloured_); }

  const bool json_, coloured_;
  LiveStatus status_;
  RunRecorder recorder_;
  std::optional<RunRecord> record_;
  std::filesystem::path report_;
  bool broken_ = false, ended_ = false;
  std::string call_;    // of the last CallEvent
  double model_s_ = 0;  // of the turn whose first call is not shown yet
  int64_t turn_ = 0;
};

}  // namespace quern
