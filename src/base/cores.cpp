#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

namespace quern {
namespace {

namespace fs = std::filesystem;

int processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::thread::hardware_concurrency());
}

// The group of this process in the unified hierarchy: the line "0::/path" of /proc/self/cgroup, without its first slash.
fs::path control_group(const fs::path& root) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::/")) return line.substr(4);
  return {};
}

// What cpu.max in a group's folder grants, in processors; infinity where it says "max" or nothing.
double granted(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  double quota = 0, period = 0;
  if (file >> quota >> period && quota > 0 && period > 0) return quota / period;
  return std::numeric_limits<double>::infinity();
}

}  // namespace

int available_cores(const fs::path& root) {
  const fs::path top = root / "sys/fs/cgroup";
  double most = granted(top);
  fs::path group = top;
  for (const fs::path& part : control_group(root)) {  // every group above it has a word in it
    group /= part;
    most = std::min(most, granted(group));
  }
  const int count = processors();
  return std::max(1, most < count ? static_cast<int>(std::ceil(most)) : count);
}

}  // namespace quern
