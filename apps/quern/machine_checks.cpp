#include "machine_checks.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>
#include <set>

#include "agent/sandbox/support.h"
#include "base/cores.h"
#include "base/cpu_features.h"
#include "base/memory.h"
#include "base/read_bandwidth.h"
#include "catalogue/fit.h"
#include "models.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using State = MachineCheck::State;

constexpr size_t kGiB = size_t{1} << 30;

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string value_in(const fs::path& file, const std::string& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(name)) continue;
    const size_t at = line.find_first_not_of(" \t:", name.size());
    return at == std::string::npos ? "" : line.substr(at);
  }
  return "";
}

size_t count_entries(const fs::path& folder, std::string_view prefix) {
  std::error_code error;
  size_t count = 0;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with(prefix) && name.size() > prefix.size() &&
        name.find_first_not_of("0123456789", prefix.size()) == std::string::npos)
      ++count;
  }
  return count;
}

MachineCheck processor(const fs::path& root) {
  const std::string model = value_in(root / "proc/cpuinfo", "model name");
  const Isa best = best_isa();
  MachineCheck check{.name = "processor",
                     .found = fmt::format("{}; quern uses {}", model.empty() ? "unknown" : model, isa_name(best))};
  if (best == Isa::avx512 && cpu_multiplies_bf16()) check.found += " with bf16 products";
  if (best == Isa::scalar) {
    check.state = State::missing;
    check.advice =
        "plain C++ is some ten times slower than AVX2, FMA and F16C: take a machine that has them; in a virtual one, have it pass on "
        "the host's processor";
  }
  return check;
}

MachineCheck cores(const fs::path& root) {
  const auto allowed = allowed_processors();
  const int physical = available_cores(root, allowed);
  const std::string smt = first_line(root / "sys/devices/system/cpu/smt/active");
  MachineCheck check{.name = "cores",
                     .found = fmt::format("{} for quern, of {} processors{}", physical, allowed.size(),
                                          smt == "1" ? " (hyper-threads are left to others)" : "")};
  const std::string governor = first_line(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  if (!governor.empty()) check.found += ", frequency governor " + governor;
  if (governor == "powersave" && !fs::exists(root / "sys/devices/system/cpu/intel_pstate")) {
    check.state = State::better;
    check.advice = "the governor keeps the frequency low: cpupower frequency-set -g performance";
  } else if (physical < 4) {
    check.state = State::better;
    check.advice = "reading a prompt takes time in proportion: more cores, or a container with a larger share";
  }
  return check;
}

MachineCheck memory(const fs::path& root) {
  const size_t total = machine_memory(root), available = available_memory(root);
  MachineCheck check{.name = "memory", .found = fmt::format("{}, of which {} are free", size_text(total), size_text(available))};
  const std::string nodes = first_line(root / "sys/devices/system/node/online");
  if (total == 0) {
    check.state = State::missing;
    check.found = "not known";
    check.advice = "/proc/meminfo is not readable here";
  } else if (available < total / 2) {
    check.state = State::better;
    check.advice = "other programs hold more than half of it; weights that do not fit are read from the disk again and again";
  } else if (nodes.find_first_of(",-") != std::string::npos) {
    check.state = State::better;
    check.found += ", in several NUMA nodes";
    check.advice = "spread a model over all of them: numactl --interleave=all quern …";
  }
  return check;
}

MachineCheck bandwidth(double bytes_per_s) {
  MachineCheck check{.name = "memory bandwidth"};
  if (bytes_per_s <= 0) {
    check.state = State::better;
    check.found = "not measured: that takes 1 GiB of free memory";
    check.advice = "end other programs";
    return check;
  }
  check.found = fmt::format("{:.1f} GB/s", bytes_per_s / 1e9);
  if (const auto sizes = sizes_of_80b())
    for (const ModelSize& size : *sizes)
      if (size.recipe == "mxfp4")
        check.found += fmt::format(": at most {:.1f} tokens/s of the 80B model in mxfp4",
                                   bytes_per_s / static_cast<double>(size.bytes_per_token));
  if (bytes_per_s < 15e9) {
    check.state = State::better;
    check.advice = "every token reads the active weights once: fill all memory channels; see that no other program is busy";
  }
  return check;
}

MachineCheck huge_pages(const fs::path& root) {
  const std::string text = first_line(root / "sys/kernel/mm/transparent_hugepage/enabled");
  MachineCheck check{.name = "huge pages"};
  const size_t open = text.find('['), close = text.find(']');
  const std::string mode =
      open != std::string::npos && close != std::string::npos && close > open ? text.substr(open + 1, close - open - 1) : "";
  check.found = mode.empty() ? "not offered by this kernel" : "transparent ones: " + mode;
  if (mode != "always" && mode != "madvise") {
    check.state = State::better;
    check.advice = mode.empty() ? "a kernel with CONFIG_TRANSPARENT_HUGEPAGE reads weights some per cent faster"
                                : "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (as root)";
  }
  return check;
}

MachineCheck kernel() {
  utsname name{};
  ::uname(&name);
  int major = 0, minor = 0;
  const bool known = std::sscanf(name.release, "%d.%d", &major, &minor) == 2;
  MachineCheck check{.name = "kernel", .found = fmt::format("Linux {}", name.release)};
  if (known && (major < 5 || (major == 5 && minor < 6))) {
    check.state = State::missing;
    check.advice = "the file tools of `quern run` need openat2, Linux 5.6 or later";
  }
  return check;
}

// What holds back namespaces for ordinary users, if something does.
std::string namespaces_problem(const fs::path& root) {
  if (first_line(root / "proc/sys/user/max_user_namespaces") == "0") return "sysctl user.max_user_namespaces=15000";
  if (first_line(root / "proc/sys/kernel/unprivileged_userns_clone") == "0") return "sysctl kernel.unprivileged_userns_clone=1";
  if (first_line(root / "proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1")
    return "an AppArmor profile that allows bwrap namespaces, or sysctl kernel.apparmor_restrict_unprivileged_userns=0";
  return "";
}

std::vector<MachineCheck> sandbox(const fs::path& root) {
  const SandboxSupport& support = this_machines_sandbox();
  MachineCheck wrapper{.name = "bubblewrap", .found = support.bubblewrap};
  if (support.bubblewrap.empty()) {
    wrapper.state = State::better;
    wrapper.found = support.bubblewrap_problem;
    const std::string problem = namespaces_problem(root);
    wrapper.advice = support.bubblewrap_problem.find("not installed") != std::string::npos ? "apt install bubblewrap"
                     : !problem.empty()                                                    ? problem
                                        : "user namespaces have to be allowed; in a container its runtime decides";
  }
  MachineCheck landlock{.name = "Landlock", .found = support.landlock > 0 ? fmt::format("ABI {}", support.landlock) : "none"};
  if (support.landlock < 1) {
    landlock.state = support.bubblewrap.empty() ? State::missing : State::better;
    landlock.advice = "Linux 5.13 or later, with lsm=…,landlock on its command line";
  }
  MachineCheck filter{.name = "system call filter", .found = support.system_call_filter ? "seccomp" : "none"};
  if (!support.system_call_filter) {
    filter.state = State::missing;
    filter.advice = "a kernel with CONFIG_SECCOMP_FILTER; without it run_command is not confined";
  }
  return {wrapper, landlock, filter};
}

MachineCheck gpu(const fs::path& root) {
  std::error_code ignored;
  std::set<std::string> found;
  const std::string version = first_line(root / "proc/driver/nvidia/version");
  if (!version.empty() || count_entries(root / "dev", "nvidia") > 0) found.insert("NVIDIA");
  if (fs::exists(root / "dev/kfd", ignored)) found.insert("AMD");
  MachineCheck check{.name = "GPU", .found = "none; none is needed"};
  if (!found.empty()) {
    check.found.clear();
    for (const std::string& one : found) check.found += (check.found.empty() ? "" : ", ") + one;
    check.found += "; quern computes on the processor and leaves it alone";
  }
  return check;
}

MachineCheck disk() {
  const auto catalogue = users_catalogue();
  MachineCheck check{.name = "disk"};
  if (!catalogue) {
    check.state = State::missing;
    check.found = catalogue.error().message;
    check.advice = "set QUERN_MODELS to a folder";
    return check;
  }
  fs::path place = catalogue->folder();
  std::error_code error;
  while (!fs::exists(place, error) && place.has_relative_path()) place = place.parent_path();
  const auto space = fs::space(place, error);
  check.found =
      error ? error.message() : fmt::format("{} free for models in {}", size_text(space.available), catalogue->folder().string());
  if (error || ::access(place.c_str(), W_OK) != 0) {
    check.state = State::missing;
    check.found += error ? "" : ", which may not be written to";
    check.advice = "set QUERN_MODELS to a folder that you may write to";
  } else if (space.available < 50 * kGiB) {
    check.state = State::better;
    check.advice = "the 80B model takes 45 GB in 4 bits; QUERN_MODELS names a folder on a larger disk";
  }
  return check;
}

MachineCheck models() {
  const auto known = known_models();
  MachineCheck check{.name = "models"};
  size_t own = 0;
  for (const KnownModel& one : known) {
    own += !one.comes_with_quern;
    if (check.found.size() < 400) check.found += (check.found.empty() ? "" : ", ") + one.model.name;
  }
  if (known.empty()) {
    check.state = State::missing;
    check.found = "none, not even pebble";
    check.advice = "quern is not completely installed; QUERN_MODELS names the folder that pebble is in";
  } else if (own == 0) {
    check.state = State::better;
    check.advice = "pebble only calls tools; quern pull ORG/NAME fetches a larger model";
  }
  return check;
}

}  // namespace

std::string_view state_name(State state) {
  return state == State::ok ? "ok" : state == State::better ? "could be better" : "missing";
}

size_t machine_memory(const fs::path& root) {
  size_t kilobytes = 0;
  const std::string text = value_in(root / "proc/meminfo", "MemTotal");
  if (std::sscanf(text.c_str(), "%zu", &kilobytes) != 1) return 0;
  size_t bytes = kilobytes << 10, limit = 0;
  if (std::sscanf(first_line(root / "sys/fs/cgroup/memory.max").c_str(), "%zu", &limit) == 1 && limit > 0)
    bytes = std::min(bytes, limit);
  return bytes;
}

std::string machine_line() {
  const Isa best = best_isa();
  return fmt::format("{}, {} core{}, {} of memory ({} free)",
                     best == Isa::amx      ? "AMX"
                     : best == Isa::avx512 ? "AVX-512"
                     : best == Isa::avx2   ? "AVX2"
                                           : "no AVX2",
                     available_cores(), available_cores() == 1 ? "" : "s", size_text(machine_memory("/")),
                     size_text(available_memory()));
}

MachineReport check_machine(const fs::path& root, bool measure) {
  MachineReport report;
  report.memory_bytes = machine_memory(root);
  report.available_bytes = available_memory(root);
  if (measure && report.available_bytes >= 2 * kGiB) {
    ThreadPool pool(available_cores());
    report.bandwidth = read_bandwidth(pool);
  }
  report.checks = {processor(root), cores(root), memory(root)};
  if (measure) report.checks.push_back(bandwidth(report.bandwidth));
  report.checks.push_back(huge_pages(root));
  report.checks.push_back(kernel());
  for (MachineCheck& check : sandbox(root)) report.checks.push_back(std::move(check));
  for (const auto& check : {gpu(root), disk(), models()}) report.checks.push_back(check);
  return report;
}

}  // namespace quern
