// The agent loop: the model answers, its calls are carried out in order, their results go back to it, until it answers without a call or
// a budget ends. Whatever the model gets wrong (an unknown tool, arguments that do not fit, text that is no call) is told to it as the
// result of that call; what the run may not do is told to it the same way.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/budget.h"
#include "agent/chat_model.h"
#include "agent/events.h"
#include "agent/task/policy.h"
#include "agent/tools/tool.h"

namespace quern {

enum class Decision { yes, no, all, quit };  // all: and everything after it; quit: end the run

// What happens to calls about which somebody is to be asked.
enum class ChangePolicy { ask, allow, preview };  // preview: nothing is changed, the model is told what would have been

struct CheckResult {
  bool passed = false;
  std::string output;
};

struct LoopOptions {
  std::string name, instruction, system, root;  // root: for the start and end events
  Budget budget;                                // of this conversation
  Budget run_budget = Budget::unlimited();      // of the run it belongs to, `before` included
  RunCounts before;  // what the run has done so far: turns, calls and the end event's counts go on from there
  ChangePolicy changes = ChangePolicy::ask;
  std::function<Verdict(const Tool&, const ToolCall&)> policy;          // empty: tools that change things ask, the others do not
  std::function<Decision(const Tool&, const ToolCall&)> confirm;        // of `ask`; empty: nobody is there to say yes
  std::function<Result<CheckResult>(const std::string& answer)> check;  // once the model is done; empty: its word is taken
  int64_t retries = 0;                // how often a failed check is shown to the model, which then goes on
  std::optional<Json> answer_schema;  // what a model that is constrained holds its last answer to; checking it is `check`'s
  std::function<bool()> cancelled;    // looked at before each step and token; empty: never
  std::function<void(std::string_view text)> on_text;    // as it is generated; empty: nobody looks
  std::function<void(std::string_view line)> on_output;  // of a tool at work; empty: nobody looks
  EventSink on_event;
  // Carried on, and left with all that was said, also when the run does not end well; `system` counts only while it is empty. nullptr:
  // a conversation of the run's own.
  Conversation* conversation = nullptr;
};

// Runs to the end. The last event, also returned, is an EndEvent, whatever happened.
EndEvent run_loop(ChatModel& model, const ToolRegistry& tools, const LoopOptions& options);

}  // namespace quern
