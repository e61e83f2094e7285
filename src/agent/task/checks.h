// Whether a step did what it was to do: its answer against a schema, its checks in order.
#pragma once

#include <filesystem>
#include <string>

#include "agent/loop.h"
#include "agent/sandbox/shell.h"
#include "agent/task/place.h"

namespace quern {

// A task's command as it is run: $TASK_DIR, $SEED, $INPUT_name for every input.
ShellCommand shell_command(const TaskShell& shell, const std::string& command);

// What a check looks at.
struct CheckPlace {
  TaskShell shell;
  std::filesystem::path temporary;                               // where the answer's file is made
  std::vector<std::pair<std::string, std::string>> environment;  // besides: $ITEM, $STEP_name
};

// JSON from a model's words: as they are, or inside one ``` fence. malformed.
Result<Json> json_answer(const std::string& answer);

// The first check that fails decides, and what it said is the output. Shell commands see $ANSWER and $ANSWER_FILE too.
Result<CheckResult> run_checks(const std::vector<Check>& checks, const std::string& answer, const CheckPlace& place);

}  // namespace quern
