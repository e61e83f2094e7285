// Task: what `quern run` carries out, read from a YAML file or made from one sentence. docs/run-tasks.md is the reference of the format.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/budget.h"
#include "base/result.h"

namespace quern {

inline constexpr std::string_view kDefaultSystemPrompt =
    "You are quern, a careful assistant that carries out tasks with tools. Work inside the given folder, use one tool at a time, "
    "and say "
    "what you did when you are done.";

struct TaskInput {
  std::string name;
  std::optional<std::string> value;  // absent: must be given
};

struct Task {
  std::string name, description;
  std::string instruction;  // "task:", with its {{placeholders}}
  std::string system{kDefaultSystemPrompt};
  std::vector<TaskInput> inputs;
  std::optional<std::vector<std::string>> tools;  // absent: all there are
  std::filesystem::path root;                     // empty: the caller's choice
  std::string setup, check;                       // shell commands; empty: none
  Budget budget;
  std::filesystem::path folder;  // where the file is: $TASK_DIR

  // Errors name the place: "task.yaml:12: budget: …".
  static Result<Task> parse(std::string_view text, std::string_view where);
  static Result<Task> load(const std::filesystem::path& file);
  static Task from_sentence(std::string sentence);

  // Gives inputs their values and puts them into the instruction. invalid_argument: an input the task does not have, or one without
  // a value.
  Result<void> fill(const std::map<std::string, std::string>& values);
};

}  // namespace quern
