// run_command: a shell command in the root folder, confined (agent/sandbox).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/sandbox/policy.h"
#include "agent/tools/tool.h"

namespace quern {

struct CommandToolOptions {
  // What the command may do. The root folder is added to what it may write.
  SandboxPolicy sandbox{.mode = SandboxPolicy::Mode::required,
                        .readable = {},
                        .writable = {},
                        .wall_seconds = 120,
                        .cpu_seconds = 600,
                        .memory_bytes = int64_t{4} << 30,
                        .file_bytes = int64_t{4} << 30,
                        .output_bytes = int64_t{64} << 20,
                        .processes = 256};
  std::vector<std::string> environment;  // NAME=value; harmless_environment() of the caller's is meant for it
};

// invalid_argument, not_found: the root.
Result<Tool> run_command_tool(const std::filesystem::path& root, CommandToolOptions options);

}  // namespace quern
