// Finding a task and the folder it works in, and filling that folder.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "agent/task/task.h"

namespace quern {

// A .yaml file, a folder with a task.yaml, or else a sentence.
Result<Task> find_task(const std::string& named);

// "NAME=VALUE" each; invalid_argument.
Result<std::map<std::string, std::string>> parse_inputs(const std::vector<std::string>& given);

struct Place {
  std::filesystem::path root;  // canonical
  bool fresh = false;          // a new folder below `temporary`: nothing is there yet
};

// named: --root, or empty. not_found: no such folder; io: no folder can be made.
Result<Place> find_place(const Task& task, const std::filesystem::path& named, const std::filesystem::path& temporary);

// What the task's own shell commands see, and where they work.
struct TaskShell {
  const Task& task;
  std::filesystem::path root;
  uint64_t seed = 1;
  std::function<bool()> cancelled;
};

// Runs the task's setup:, if it has one. io: it failed, with what it said.
Result<void> set_up(const TaskShell& shell);

}  // namespace quern
