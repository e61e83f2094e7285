#include "agent/sandbox/shell.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "base/file.h"
#include "base/utf8.h"

namespace quern {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMaxOutput = 16 << 10;
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

// posix_spawn's two descriptions, freed together.
struct SpawnSettings {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
};

Result<pid_t> start(const ShellCommand& command, int output) {
  SpawnSettings settings;
  ::posix_spawn_file_actions_addopen(&settings.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&settings.actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&settings.actions, output, STDERR_FILENO);
  ::posix_spawn_file_actions_addchdir_np(&settings.actions, command.folder.c_str());
  sigset_t defaults;
  ::sigemptyset(&defaults);
  ::sigaddset(&defaults, SIGPIPE);  // quern ignores it; scripts rely on it
  ::posix_spawnattr_setsigdefault(&settings.attributes, &defaults);
  ::posix_spawnattr_setpgroup(&settings.attributes, 0);
  ::posix_spawnattr_setflags(&settings.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> variables = environment_of(command);
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string shell = "/bin/sh", flag = "-c", text = command.command;
  char* arguments[] = {shell.data(), flag.data(), text.data(), nullptr};
  pid_t child = 0;
  if (const int error = ::posix_spawn(&child, "/bin/sh", &settings.actions, &settings.attributes, arguments, environment.data());
      error != 0)
    return fail(Errc::io, "{}: cannot start a shell: {}", command.folder.string(), std::strerror(error));
  return child;
}

// What is there to read, up to a tenth of a second's wait; false at the end of the output.
bool gather(int fd, std::string& output) {
  pollfd waiting{fd, POLLIN, 0};
  if (::poll(&waiting, 1, 100) <= 0) return true;
  char buffer[4096];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  if (got <= 0) return got < 0 && errno == EINTR;
  output.append(buffer, static_cast<size_t>(got));
  if (output.size() > 4 * kMaxOutput) output.erase(0, output.size() - kMaxOutput);
  return true;
}

}  // namespace

Result<ShellOutcome> run_shell(const ShellCommand& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Errc::io, "cannot make a pipe: {}", std::strerror(errno));
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  QUERN_ASSIGN(const pid_t child, start(command, write_end.get()));
  write_end = UniqueFd();
  const auto deadline = Clock::now() + std::chrono::duration<double>(command.timeout_s);
  ShellOutcome outcome;
  const std::string too_long = fmt::format("took longer than {} s", command.timeout_s);
  std::string_view ended_by_us;
  bool open = true;
  int status = 0;
  while (true) {
    const pid_t done = ::waitpid(child, &status, WNOHANG);  // not the end of output: a background process may hold that open
    if (done == child || (done < 0 && errno != EINTR)) break;
    if (open)
      open = gather(read_end.get(), outcome.output);
    else
      ::poll(nullptr, 0, 10);
    if (command.cancelled && command.cancelled())
      ended_by_us = "interrupted";
    else if (Clock::now() > deadline)
      ended_by_us = too_long;
    if (ended_by_us.empty()) continue;
    ::kill(-child, SIGKILL);
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return fail(Errc::io, "{}", ended_by_us);
  }
  ::kill(-child, SIGKILL);  // what it left in the background ends with it
  pollfd rest{read_end.get(), POLLIN, 0};
  for (int parts = 0; open && parts < 1000 && ::poll(&rest, 1, 0) > 0; ++parts) open = gather(read_end.get(), outcome.output);
  if (outcome.output.size() > kMaxOutput) outcome.output.erase(0, outcome.output.size() - kMaxOutput);
  outcome.output = replace_invalid_utf8(outcome.output);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

}  // namespace quern
