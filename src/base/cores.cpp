#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr int kMostProcessors = 1 << 20;

// Numbers as "0-3,8,10-11". Nothing where the text is anything else.
std::optional<std::set<int>> parse_list(const std::string& text) {
  std::set<int> numbers;
  std::string_view rest = text;
  const auto number = [&]() -> std::optional<int> {
    int value = -1;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error != std::errc() || value < 0 || value >= kMostProcessors) return {};
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    return value;
  };
  for (;;) {
    const auto first = number();
    if (!first) return {};
    auto last = first;
    if (rest.starts_with('-')) {
      rest.remove_prefix(1);
      last = number();
      if (!last || *last < *first || *last - *first >= 1024) return {};
    }
    for (int i = *first; i <= *last; ++i) numbers.insert(i);
    if (rest.empty()) return numbers;
    if (!rest.starts_with(',')) return {};
    rest.remove_prefix(1);
  }
}

// Those that share a core with this one, itself among them; itself alone where /sys does not say so.
std::set<int> siblings(const fs::path& root, int processor) {
  std::ifstream file(root / "sys/devices/system/cpu" / ("cpu" + std::to_string(processor)) / "topology/thread_siblings_list");
  std::string text(256, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  while (text.ends_with('\n')) text.pop_back();
  const auto found = parse_list(text);
  return found && found->contains(processor) ? *found : std::set<int>{processor};
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

std::vector<int> allowed_processors() {
  std::vector<int> allowed;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &set)) allowed.push_back(i);
  return allowed;
}

int available_cores(const fs::path& root, const std::vector<int>& processors) {
  const fs::path top = root / "sys/fs/cgroup";
  double most = granted(top);
  fs::path group = top;
  for (const fs::path& part : control_group(root)) {  // every group above it has a word in it
    group /= part;
    most = std::min(most, granted(group));
  }
  // A processor counts unless one that shares its core has been counted.
  std::set<int> taken;
  int count = 0;
  for (const int processor : processors)
    if (!taken.contains(processor)) ++count, taken.merge(siblings(root, processor));
  if (processors.empty()) count = static_cast<int>(std::thread::hardware_concurrency());
  return std::max(1, most < count ? static_cast<int>(std::ceil(most)) : count);
}

int available_cores() { return available_cores("/", allowed_processors()); }

}  // namespace quern
