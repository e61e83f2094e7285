// What happens during a run, one struct per kind of thing. The live view, --json and whatever records a run read the same stream.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"

namespace quern {

enum class RunStatus { success, failed, cancelled };
std::string_view run_status_name(RunStatus status);

// What was asked, before the model says anything.
struct StartEvent {
  std::string name, instruction, root;
  std::vector<std::string> tools;
  std::string run;  // its name in the journal; empty: not journalled
};

// The run goes on where an earlier process left it; what comes now has not happened before.
struct ResumeEvent {
  std::string run;
  int64_t turns = 0, calls = 0;  // that are done; they are not told again
  bool state = false;            // the model's state was restored, so the prompt is not read from its beginning
  bool same_prompt = true;       // false: the tools or quern have changed since, and the last answer was given to another prompt
};

// The model has answered: `text` is what it generated, to the letter.
struct TurnEvent {
  int64_t turn = 0, prompt_tokens = 0, reused_tokens = 0, tokens = 0;
  double prefill_s = 0, decode_s = 0;
  std::string text;
};

struct SayEvent {
  int64_t turn = 0;
  std::string text;
};

// A call the model makes, before anything comes of it. Malformed: name is empty where it could not be read, arguments are the raw text.
struct CallEvent {
  int64_t call = 0;  // from 1 in the whole run
  std::string name;
  Json arguments;
  std::string warning;  // why somebody is asked who otherwise would not be; mostly empty
};

struct ConfirmEvent {  // somebody was asked, or nobody could be
  int64_t call = 0;
  bool allowed = false;
  std::string reason;
};

struct ResultEvent {
  int64_t call = 0;
  std::string name, text;
  bool is_error = false, malformed = false;
  double seconds = 0;
};

// Of a task with steps: one begins, or has ended. Its turns, calls and checks come between.
struct StepEvent {
  enum class State { begun, done, failed, skipped };  // skipped: an earlier run of this journal did it
  std::string step;                                   // its key: "steps/NAME" or "steps/NAME/item/3"
  State state = State::begun;
  std::string text;  // begun: the instruction; done, skipped: the output; failed: the reason
  double seconds = 0;
};

struct CheckEvent {  // the task's own verification of what was done
  bool passed = false;
  std::string output;
  double seconds = 0;
};

struct RunCounts {
  int64_t turns = 0, calls = 0, errors = 0, malformed = 0, refused = 0, changes = 0;  // errors include malformed and refused
  int64_t prompt_tokens = 0, reused_tokens = 0, tokens = 0;
  int64_t retries = 0;  // after a failed check
  double prefill_s = 0, decode_s = 0, tools_s = 0, seconds = 0;
  double cost = 0;  // by the budget's prices

  RunCounts& operator+=(const RunCounts& more);
  RunCounts operator-(const RunCounts& before) const;
  double tokens_per_s() const { return decode_s > 0 ? static_cast<double>(tokens) / decode_s : 0; }
};

struct EndEvent {
  RunStatus status = RunStatus::failed;
  std::string reason;  // empty on success
  std::string answer;  // the last words
  std::string root;
  std::optional<bool> check_passed;  // absent: no check, or not reached
  RunCounts counts;
  std::string run;  // its name in the journal; empty: not journalled
};

using Event = std::variant<StartEvent, ResumeEvent, TurnEvent, SayEvent, CallEvent, ConfirmEvent, ResultEvent, CheckEvent,
                           StepEvent, EndEvent>;
using EventSink = std::function<void(const Event&)>;

// {"type": "call", …}: one line of --json.
Json event_json(const Event& event);

}  // namespace quern
