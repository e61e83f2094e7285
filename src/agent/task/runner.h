// Runs a task: its steps one after the other, each for its items, each conversation by the agent loop (loop.h); what one says is there for
// the next. With a journal a run can be continued: conversations that were finished are not held again, the one that was cut off goes on where
// it was (loop.h), and what a for_each goes through is what it was. A conversation is named by a key that stays the same when a run is continued: "main" where the task has no steps, else
// "steps/NAME", "steps/NAME/item/3" (from 1), "on_failure/NAME".
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "agent/chat_model.h"
#include "agent/loop.h"
#include "agent/task/task.h"
#include "agent/tools/tool.h"

namespace quern {

struct RunnerOptions {
  std::filesystem::path root;       // canonical
  std::filesystem::path temporary;  // for the files that checks are given
  uint64_t seed = 1;                // $SEED
  int64_t max_turns = 0;            // of each conversation, instead of the budgets' turns; 0: the budgets'
  ChangePolicy changes = ChangePolicy::ask;
  std::optional<Policy> limits;  // the caller's: a task without a policy has this one, another may ask and deny more, never less
  std::function<Decision(const Tool&, const ToolCall&)> confirm;
  std::function<InDoubt(const Tool&, const ToolCall&)> in_doubt;
  JournalRun* journal =
      nullptr;  // not owned; nullptr: nothing is recorded. A run that is continued does nothing again that is done
  const SecretStore* secrets = nullptr;                 // not owned
  std::function<ChatModel&(const TaskStep&)> model_of;  // who holds its conversations; empty: run_task's model all of them
  std::function<bool()> refresh_tools;  // before each answer: true where run_task's registry holds other tools than before
  std::function<bool()> cancelled;
  std::function<void(std::string_view)> on_text, on_output;
  EventSink on_event;
};

inline constexpr size_t kMaxTaskItems = 1000;  // of one for_each

// Whether an entry of a task's tools: stands for this tool: a glob of its name; "files": the nine file tools.
bool tool_fits(std::string_view entry, std::string_view name);

// The tools of `all` that a step's conversations are offered, in `all`'s order. not_found: a glob that fits none.
Result<ToolRegistry> tools_of(const Task& task, const TaskStep& step, const ToolRegistry& all);

// Calls prepare with each step and its tools: what is wrong is found before anything is done.
Result<void> prepare_steps(const Task& task, const ToolRegistry& all,
                           const std::function<Result<void>(const TaskStep&, const ToolRegistry&)>& prepare);

// The secret inputs, each for those of `all` that its globs fit. Errors: SecretStore's; not_found: a glob that fits none.
Result<SecretStore> secrets_of(const Task& task, const ToolRegistry& all);

// The task's inputs have their values. Emits and returns one EndEvent, the last event; a task with steps has one StartEvent of its own and
// StepEvents around what its conversations emit.
EndEvent run_task(const Task& task, ChatModel& model, const ToolRegistry& all, const RunnerOptions& options);

}  // namespace quern
