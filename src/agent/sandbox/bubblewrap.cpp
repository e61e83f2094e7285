#include "agent/sandbox/bubblewrap.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/sandbox/visible_system.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTemporaryBytes = int64_t{1} << 30;  // of /tmp, which is memory, where the policy names no size

class Arguments {
 public:
  explicit Arguments(const std::string& bwrap) : all_{bwrap} {}
  template <class... Words>
  void add(Words&&... words) {
    (all_.emplace_back(std::forward<Words>(words)), ...);
  }
  // A distribution has /bin as a folder or as a link into /usr; the sandbox gets the same.
  void system_folder(const char* folder) {
    std::error_code ignored;
    const fs::path path(folder);
    if (fs::is_symlink(path, ignored))
      add("--symlink", fs::read_symlink(path, ignored).string(), folder);
    else
      add("--ro-bind-try", folder, folder);
  }
  std::vector<std::string> take() { return std::move(all_); }

 private:
  std::vector<std::string> all_;
};

struct Bound {
  fs::path path;
  bool writable = false;
};

// A folder before what lies in it, which is then mounted over it.
std::vector<Bound> in_order(const SandboxPolicy& policy) {
  std::vector<Bound> all;
  for (const fs::path& path : policy.readable)
    if (std::find(policy.writable.begin(), policy.writable.end(), path) == policy.writable.end()) all.push_back({path, false});
  for (const fs::path& path : policy.writable) all.push_back({path, true});
  std::sort(all.begin(), all.end(), [](const Bound& a, const Bound& b) { return a.path < b.path; });
  return all;
}

}  // namespace

std::vector<std::string> bubblewrap_arguments(const std::string& bwrap, const SandboxPolicy& policy, const fs::path& folder,
                                              bool filter) {
  const std::string temporary_bytes = std::to_string(policy.memory_bytes > 0 ? policy.memory_bytes : kTemporaryBytes);
  Arguments arguments(bwrap);
  for (const char* space : {"user", "pid", "ipc", "uts", "cgroup-try"}) arguments.add(fmt::format("--unshare-{}", space));
  if (!policy.network) arguments.add("--unshare-net");
  arguments.add("--die-with-parent", "--cap-drop", "ALL");
  for (const char* system : kSystemFolders) arguments.system_folder(system);
  for (const char* system : kSystemFiles) arguments.add("--ro-bind-try", system, system);
  if (policy.network)
    for (const char* file : kNetworkFiles) arguments.add("--ro-bind-try", file, file);
  arguments.add("--proc", "/proc", "--dev", "/dev");
  for (const char* place : {"/dev/shm", "/tmp"}) arguments.add("--size", temporary_bytes, "--tmpfs", place);
  for (const Bound& bound : in_order(policy))
    arguments.add(bound.writable ? "--bind" : "--ro-bind", bound.path.string(), bound.path.string());
  // What bwrap made to hang all this into is memory without a limit.
  arguments.add("--remount-ro", "/dev", "--remount-ro", "/");
  arguments.add("--chdir", folder.string());
  if (filter) arguments.add("--seccomp", "3");
  arguments.add("--");
  return arguments.take();
}

}  // namespace quern
