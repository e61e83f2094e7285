// Runs a task's own shell commands (setup, check): their own process group, no standard input, output kept up to a limit. They end
// when they take too long, and what they start ends with them.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace quern {

struct ShellCommand {
  std::string command;  // for /bin/sh -c
  std::filesystem::path folder;
  std::vector<std::pair<std::string, std::string>> environment;  // on top of this process's
  double timeout_s = 600;
  std::function<bool()> cancelled;  // looked at ten times a second; empty: never
};

struct ShellOutcome {
  int exit_code = 0;   // 128 + signal when one ended it
  std::string output;  // stdout and stderr together, valid UTF-8: the last 16 KiB
};

// io: could not be started, cancelled or timed out (the message says which).
Result<ShellOutcome> run_shell(const ShellCommand& command);

}  // namespace quern
