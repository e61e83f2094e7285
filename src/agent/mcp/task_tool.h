// run_task: a task file of one folder, carried out by a `quern run` of its own, so that nothing it does can harm the server.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/mcp/service.h"

namespace quern {

struct TaskToolOptions {
  std::filesystem::path folder;          // *.yaml, and folders with a task.yaml
  std::filesystem::path program;         // quern itself
  std::vector<std::string> arguments;    // of every run: --model …, --root …, --yes
  std::vector<std::string> environment;  // NAME=value, all of it
};

// Errors: a folder that cannot be read or holds no task. A task that cannot be read is left out with a warning.
Result<ServiceTool> task_tool(const TaskToolOptions& options, const std::function<void(std::string)>& on_warning);

}  // namespace quern
