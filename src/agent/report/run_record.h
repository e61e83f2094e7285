// A run as its events tell it, put together for a report: what was called and what came of it, when, and what changed. It is made from
// the lines of --json, while they are written or later; a line may lack anything, and events of kinds not known here are kept as notes.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/report/file_recorder.h"
#include "base/json.h"

namespace quern {

// A stretch of time, in seconds from the run's start.
struct RunSpan {
  enum class Kind { reading, writing, waiting, tool, check };  // the model reads, or writes; somebody is asked
  Kind kind = Kind::writing;
  double begin = 0, end = 0;
};

struct RunCall {
  struct Decision {
    bool allowed = false;
    std::string reason;
    double seconds = 0;  // that somebody took
  };
  int64_t number = 0, tokens = 0;  // tokens: of the answer whose first call it is
  std::string name, result, warning;
  Json arguments;
  std::vector<Decision> decisions;
  bool has_result = false, is_error = false, malformed = false;
  double seconds = 0;  // the tool's
};

// What is shown, in order.
struct RunEntry {
  enum class Kind { part, thinking, say, call, check, note };  // part: a step begins; its name, and below what is asked
  Kind kind = Kind::say;
  std::string text;     // of call: empty
  size_t call = 0;      // index of calls
  bool passed = false;  // of check
};

struct RunRow {  // of the timeline
  std::string label;
  std::optional<size_t> call;
  std::vector<RunSpan> spans;
};

class RunRecord {
 public:
  // One document a line. malformed names the line; one that ends in the middle, because the run was killed, is left out.
  static Result<RunRecord> from_lines(std::string_view text, std::string_view where);
  void add(const Json& event);

  std::string name, task, root, model, started;  // started: local time, to be read
  std::vector<RunEntry> entries;
  std::vector<RunCall> calls;
  std::vector<RunRow> rows;
  std::vector<FileChange> changes;
  bool changes_recorded = false, changes_complete = true;
  Json end;                            // the last end event, null when there was none
  double seconds = 0;                  // from the start to the last thing known
  std::array<double, 5> seconds_of{};  // by RunSpan::Kind

 private:
  void add_start(const Json& event);
  void add_turn(const Json& event);
  void add_call(const Json& event);
  void add_decision(const Json& event, bool allowed);
  void add_result(const Json& event);
  void add_check(const Json& event);
  void add_step(const Json& event);
  void add_changes(const Json& event);
  void add_note(const Json& event, std::string_view type);
  RunSpan span(RunSpan::Kind kind, double seconds, double end);
  void row_of_turn(std::string label);

  double at_ = 0, last_ = 0;      // when this event happened, and the one before
  std::vector<RunSpan> pending_;  // of a turn that no call has taken yet
  int64_t pending_tokens_ = 0;
  bool has_start_ = false;
};

}  // namespace quern
