// The agent loop: the model answers, its calls are carried out in order, their results go back to it, until it answers without a call or
// a budget ends. Whatever the model gets wrong (an unknown tool, arguments that do not fit, text that is no call) is told to it as the
// result of that call; what the run may not do is told to it the same way.
//
// With a journal, nothing takes effect before it is recorded, and a step that an earlier process began is gone through again: its turns and
// results come from the journal, to the byte, so no call that was completed is made again. A call that was being carried out when the run
// was cut off is made again if it reads or is idempotent; of any other somebody has to say what became of it (in_doubt).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/budget.h"
#include "agent/chat_model.h"
#include "agent/events.h"
#include "agent/journal/journal.h"
#include "agent/task/policy.h"
#include "agent/tools/tool.h"
#include "agent/trust/secrets.h"

namespace quern {

enum class Decision { yes, no, all, quit };  // all: and everything after it; quit: end the run

// What happens to calls about which somebody is to be asked.
enum class ChangePolicy { ask, allow, preview };  // preview: nothing is changed, the model is told what would have been

struct CheckResult {
  bool passed = false;
  std::string output;
};

// What became of a call that the run was cut off in: nothing, so it is made; it took effect; it failed. Or the run ends.
enum class InDoubt { repeat, done, failed, quit };

// What happens to a result longer than LoopOptions::result_bytes. pages: its beginning is shown, and the model is offered read_result for
// the rest. cut: it is shown up to 256 KiB. automatic: pages where there is room for one more tool, in contexts of 65,536 tokens and more;
// small models are trained on fixed sets of tools, and their prompts stay as they were. The choice holds for the whole run, whether or not a
// long result comes: a tool that appeared later would change the prompt's beginning, and all of it would be read again.
enum class LongResults { automatic, pages, cut };

struct LoopOptions {
  std::string name, instruction, system, root;  // root: for the start and end events
  Budget budget;                                // of this conversation
  Budget run_budget = Budget::unlimited();      // of the run it belongs to, `before` included
  RunCounts before;  // what the run has done so far: turns, calls and the end event's counts go on from there
  ChangePolicy changes = ChangePolicy::ask;
  std::function<Verdict(const Tool&, const ToolCall&)> policy;    // empty: calls that may change things ask, the others do not
  std::function<Decision(const Tool&, const ToolCall&)> confirm;  // of `ask`; empty: nobody is there to say yes
  std::function<Result<CheckResult>(const std::string& answer)> check;  // once the model is done; empty: its word is taken
  int64_t retries = 0;                // how often a failed check is shown to the model, which then goes on
  std::optional<Json> answer_schema;  // what a model that is constrained holds its last answer to; checking it is `check`'s
  std::function<bool()> cancelled;    // looked at before each step and token; empty: never
  std::function<void(std::string_view text)> on_text;    // as it is generated; empty: nobody looks
  std::function<void(std::string_view line)> on_output;  // of a tool at work; empty: nobody looks
  // Before each answer of the model: true where the registry holds other tools than before, as when a server's have changed (McpClients).
  std::function<bool()> refresh_tools;  // empty: they stay what they are
  EventSink on_event;
  JournalRun* journal = nullptr;                                  // not owned; nullptr: nothing is recorded
  std::string step = "main";                                      // the key under which it is
  std::function<InDoubt(const Tool&, const ToolCall&)> in_doubt;  // empty: such a run ends with a line that says so
  // The model's state is saved once it has worked this long since the last time, and twenty times as long as saving takes.
  double checkpoint_after_s = 1;
  // Old turns are compacted before a prompt reaches budget.context, or fills what the model has.

  LongResults long_results = LongResults::automatic;
  size_t result_bytes = 16 << 10;
  // Of the instruction, what the user wrote: the rest (another step's output, the text of files) is what a tool may as well have said, and
  // makes no tool known; see trust/provenance.h. Absent: all of it is the user's.
  std::optional<std::string> users_words;
  const SecretStore* secrets = nullptr;  // not owned; what the arguments' {{secret:NAME}} stand for

  // Carried on, and left with all that was said, also when the run does not end well; `system` counts only while it is empty. nullptr:
  // a conversation of the run's own.
  Conversation* conversation = nullptr;
};

// Runs to the end. The last event, also returned, is an EndEvent, whatever happened.
EndEvent run_loop(ChatModel& model, const ToolRegistry& tools, const LoopOptions& options);

}  // namespace quern
