#include "agent/sandbox/confinement.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "agent/sandbox/bubblewrap.h"
#include "agent/sandbox/landlock.h"
#include "agent/sandbox/process_tree.h"
#include "agent/sandbox/system_call_filter.h"
#include "agent/sandbox/visible_system.h"
#include "base/paths.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using Mode = SandboxPolicy::Mode;
using Sockets = FilterOptions::Sockets;

Result<std::vector<fs::path>> canonical(const std::vector<fs::path>& paths) {
  std::vector<fs::path> all;
  for (const fs::path& path : paths) {
    if (!path.is_absolute()) return fail(Errc::invalid_argument, "sandbox: {}: expected an absolute path", path.string());
    std::error_code error;
    all.push_back(fs::canonical(path, error));
    if (error) return fail(Errc::not_found, "sandbox: {}: {}", path.string(), error.message());
  }
  return all;
}

// The policy with paths as the kernel sees them.
Result<SandboxPolicy> resolved(const SandboxPolicy& policy) {
  SandboxPolicy result = policy;
  QUERN_ASSIGN(result.readable, canonical(policy.readable));
  QUERN_ASSIGN(result.writable, canonical(policy.writable));
  for (const auto* list : {&result.readable, &result.writable})
    for (const fs::path& path : *list)
      for (const char* system : {"/", "/proc", "/dev", "/sys"})
        if (path == system)
          return fail(Errc::invalid_argument, "sandbox: {}: cannot be given to a confined program as a whole", path.string());
  return result;
}

bool is_visible(const SandboxPolicy& policy, const fs::path& path) {
  const auto holds = [&](const fs::path& folder) { return lies_in(path, folder); };
  return std::any_of(kSystemFolders.begin(), kSystemFolders.end(), holds) ||
         std::any_of(policy.readable.begin(), policy.readable.end(), holds) ||
         std::any_of(policy.writable.begin(), policy.writable.end(), holds);
}

// The name under which it is started, and what that leads to.
Result<void> check_visible(const SandboxPolicy& policy, const fs::path& program, const fs::path& folder) {
  std::error_code error;
  const fs::path target = fs::canonical(program, error);
  const fs::path named = fs::canonical(program.parent_path(), error) / program.filename();
  if (error) return fail(Errc::io, "{}: {}", program.string(), error.message());
  for (const fs::path& path : {named, target})
    if (!is_visible(policy, path))
      return fail(Errc::denied, "sandbox: {}: lies outside of what a confined program may read", path.string());
  if (!is_visible(policy, folder) && folder != "/tmp")
    return fail(Errc::denied, "sandbox: {}: a confined program cannot run there, it may not read it", folder.string());
  return {};
}

Result<UniqueFd> file_of(const std::vector<sock_filter>& filter) {
  const UniqueFd low(::memfd_create("filter", MFD_CLOEXEC));
  UniqueFd file(::fcntl(low.get(), F_DUPFD_CLOEXEC, 10));  // above the numbers that a child gives its own descriptors
  const size_t bytes = filter.size() * sizeof(sock_filter);
  if (!file || ::write(file.get(), filter.data(), bytes) != static_cast<ssize_t>(bytes) || ::lseek(file.get(), 0, SEEK_SET) != 0)
    return fail(Errc::io, "sandbox: cannot hand over the filter of system calls: {}", std::strerror(errno));
  return file;
}

// With namespaces: the file system is bwrap's work. Landlock's files cannot be added, it forbids the mounts bwrap has to make; its rules
// for TCP, signals and sockets can.
Result<Confinement> with_bubblewrap(const SandboxPolicy& policy, const fs::path& folder, const SandboxSupport& support) {
  Confinement made;
  made.wrapper = bubblewrap_arguments(support.bubblewrap, policy, folder, support.system_call_filter);
  if (support.system_call_filter) {
    // The host's abstract sockets can be reached where the network is the host's: then none of that family.
    QUERN_ASSIGN(const auto filter, system_call_filter({.sockets = policy.network ? Sockets::internet : Sockets::local}));
    QUERN_ASSIGN(made.wrapper_filter, file_of(filter));
  }
  QUERN_ASSIGN(made.landlock, landlock_ruleset({.confine_tcp = !policy.network, .confine_to_itself = true}, support.landlock));
  made.summary = "bubblewrap";
  return made;
}

// Without: Landlock hides files, the filter refuses sockets altogether (one of AF_UNIX would reach the host's services by their path) and
// keeps the session together.
Result<Confinement> without_namespaces(const SandboxPolicy& policy, const SandboxSupport& support) {
  Confinement made;
  QUERN_ASSIGN(made.private_folder, PrivateFolder::create());
  if (support.system_call_filter) {
    const Sockets sockets = policy.network ? Sockets::internet : Sockets::none;
    QUERN_ASSIGN(made.filter, system_call_filter({.sockets = sockets, .keeps_session = true}));
  }
  LandlockRules rules{.confine_files = true, .confine_tcp = !policy.network, .confine_to_itself = true};
  rules.readable.assign(kSystemFolders.begin(), kSystemFolders.end());
  rules.readable.insert(rules.readable.end(), kSystemFiles.begin(), kSystemFiles.end());
  rules.readable.emplace_back("/proc");
  if (policy.network) rules.readable.insert(rules.readable.end(), kNetworkFiles.begin(), kNetworkFiles.end());
  rules.readable.insert(rules.readable.end(), policy.readable.begin(), policy.readable.end());
  rules.writable = policy.writable;
  rules.writable.push_back(made.private_folder.path());
  rules.devices.assign(kDevices.begin(), kDevices.end());
  QUERN_ASSIGN(made.landlock, landlock_ruleset(rules, support.landlock));
  made.summary = support.landlock >= 1 ? "" : "FILES NOT CONFINED";
  return made;
}

std::string summary_of(const SandboxPolicy& policy, const SandboxSupport& support, const Confinement& made) {
  std::vector<std::string> parts;
  if (!made.summary.empty()) parts.push_back(made.summary);
  if (made.landlock) parts.push_back(fmt::format("Landlock {}", support.landlock));
  parts.emplace_back(support.system_call_filter ? "system calls filtered" : "SYSTEM CALLS NOT FILTERED");
  parts.emplace_back(policy.network                                        ? "network allowed"
                     : support.system_call_filter || !made.wrapper.empty() ? "no network"
                                                                           : "NETWORK NOT CONFINED");
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

Result<Confinement> confine(const SandboxPolicy& policy, const fs::path& program, const fs::path& folder,
                            const SandboxSupport& support) {
  if (policy.mode == Mode::none) return Confinement{};
  QUERN_ASSIGN(const SandboxPolicy exact, resolved(policy));
  const bool bubblewrap = policy.use_bubblewrap && !support.bubblewrap.empty();
  if (policy.mode == Mode::required && (!support.system_call_filter || (!bubblewrap && support.landlock == 0)))
    return fail(Errc::unsupported, "sandbox: this machine cannot confine a program: {}", support.describe());
  QUERN_TRY(check_visible(exact, program, folder));
  QUERN_ASSIGN(Confinement made, bubblewrap ? with_bubblewrap(exact, folder, support) : without_namespaces(exact, support));
  made.summary = summary_of(exact, support, made);
  return made;
}

std::string visible_path(const SandboxPolicy& policy, std::string_view path) {
  std::vector<std::string_view> kept;
  while (!path.empty()) {
    const std::string_view one = path.substr(0, path.find(':'));
    path.remove_prefix(std::min(path.size(), one.size() + 1));
    std::error_code error;
    const fs::path folder = fs::canonical(fs::path(one), error);
    if (!error && one.starts_with('/') && is_visible(policy, fs::path(one)) && is_visible(policy, folder)) kept.push_back(one);
  }
  return fmt::format("{}", fmt::join(kept, ":"));
}

std::vector<std::pair<__rlimit_resource_t, rlimit>> process_limits(const SandboxPolicy& policy) {
  std::vector<std::pair<__rlimit_resource_t, rlimit>> limits;
  const auto add = [&](__rlimit_resource_t resource, int64_t most) {
    rlimit present{};
    ::getrlimit(resource, &present);  // what is set already can only be lowered
    const rlim_t value = std::min(static_cast<rlim_t>(most), present.rlim_max);
    limits.emplace_back(resource, rlimit{value, value});
  };
  if (policy.mode != Mode::none) add(RLIMIT_CORE, 0);
  if (policy.cpu_seconds > 0) add(RLIMIT_CPU, static_cast<int64_t>(policy.cpu_seconds) + 1);
  if (policy.file_bytes > 0) add(RLIMIT_FSIZE, policy.file_bytes);
  // What a process writes to, not its address space: programs reserve far more of that than they use.
  if (policy.memory_bytes > 0) add(RLIMIT_DATA, policy.memory_bytes);
  // The kernel counts all processes of this user. The watcher's count (ChildProcess::exceeded_limit) is the exact one, this is what holds
  // between two looks; for root the kernel does not count.
  if (policy.processes > 0) add(RLIMIT_NPROC, processes_of_this_user() + policy.processes + 2);
  return limits;
}

}  // namespace quern
