#include "agent/sandbox/support.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/sandbox/bubblewrap.h"
#include "agent/sandbox/command.h"
#include "agent/sandbox/landlock.h"
#include "agent/sandbox/system_call_filter.h"

namespace quern {
namespace {

constexpr const char* kPlaces[] = {"/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"};

// Empty when it ran a program in the namespaces that every policy asks for.
std::string problem_of(const std::string& bwrap) {
  CommandOptions options;
  options.process.arguments = bubblewrap_arguments(bwrap, SandboxPolicy{}, "/", /*filter=*/false);
  options.process.arguments.emplace_back("/bin/sh");
  options.process.arguments.emplace_back("-c");
  options.process.arguments.emplace_back("exit 42");
  options.process.folder = "/";
  options.process.sandbox.wall_seconds = 10;
  const auto done = run_command(options);
  if (!done) return done.error().message;
  if (!done->ended_by_us.empty()) return done->ended_by_us;
  if (done->exit_code == 42) return {};
  const std::string said = done->text();
  return printable_line(said.substr(0, std::min(said.find('\n'), size_t{200})));
}

}  // namespace

SandboxSupport find_sandbox_support() {
  SandboxSupport found;
  found.landlock = landlock_abi();
  found.system_call_filter = system_call_filter({}).has_value() && ::prctl(PR_GET_SECCOMP) >= 0;
  found.bubblewrap_problem = "bubblewrap is not installed";
  for (const char* place : kPlaces) {
    if (::access(place, X_OK) != 0) continue;
    found.bubblewrap_problem = problem_of(place);
    if (found.bubblewrap_problem.empty())
      found.bubblewrap = place;
    else
      found.bubblewrap_problem = "bubblewrap does not work here: " + found.bubblewrap_problem;
    break;
  }
  return found;
}

const SandboxSupport& this_machines_sandbox() {
  static const SandboxSupport found = find_sandbox_support();
  return found;
}

std::string SandboxSupport::describe() const {
  std::vector<std::string> parts;
  if (!bubblewrap.empty())
    parts.emplace_back("bubblewrap (own files, processes and network)");
  else
    parts.push_back(bubblewrap_problem);
  if (landlock >= 1)
    parts.push_back(fmt::format("Landlock {} ({})", landlock,
                                bubblewrap.empty() ? landlock >= 4 ? "files and TCP" : "files"
                                : landlock >= 4    ? "TCP"
                                                   : "not needed"));
  else
    parts.emplace_back(bubblewrap.empty() ? "no Landlock: files are not confined" : "no Landlock");
  parts.emplace_back(system_call_filter ? "system calls filtered" : "system calls not filtered");
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace quern
