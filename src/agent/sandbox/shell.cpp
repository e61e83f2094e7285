#include "agent/sandbox/shell.h"

#include <unistd.h>

#include "agent/sandbox/command.h"
#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kMaxVariable = 100 << 10;  // Linux takes 128 KiB

// This process's environment with the command's variables in place of those of the same name.
std::vector<std::string> environment_of(const ShellCommand& command) {
  std::vector<std::string> all;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view variable = *entry;
    bool replaced = false;
    for (const auto& [name, value] : command.environment) replaced = replaced || variable.starts_with(name + "=");
    if (!replaced) all.emplace_back(variable);
  }
  for (const auto& [name, value] : command.environment) {
    std::string_view shown = std::string_view(value).substr(0, kMaxVariable);
    if (shown.size() < value.size()) shown = shown.substr(0, complete_utf8_prefix(shown));
    all.push_back(name + "=" + std::string(shown.substr(0, shown.find('\0'))));
  }
  return all;
}

}  // namespace

Result<ShellOutcome> run_shell(const ShellCommand& command) {
  CommandOptions options;
  options.process.arguments = {"/bin/sh", "-c", command.command};
  options.process.folder = command.folder;
  options.process.environment = environment_of(command);
  options.process.sandbox.wall_seconds = command.timeout_s;
  options.cancelled = command.cancelled;
  QUERN_ASSIGN(CommandOutcome done, run_command(options));
  if (!done.ended_by_us.empty()) return fail(Errc::io, "{}", done.ended_by_us);
  return ShellOutcome{done.exit_code, done.first + done.last};
}

}  // namespace quern
