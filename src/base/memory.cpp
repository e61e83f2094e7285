#include "base/memory.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <string>

namespace quern {
namespace {

namespace fs = std::filesystem;

std::optional<size_t> number_of(const fs::path& file) {
  std::ifstream in(file);
  std::string text;
  size_t value = 0;
  if (!(in >> text)) return {};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size()) return {};  // "max"
  return value;
}

// A line "MemAvailable:   123 kB", in bytes.
std::optional<size_t> kilobytes_of(const fs::path& file, const std::string& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(name)) continue;
    const size_t digit = line.find_first_of("0123456789");
    size_t value = 0;
    if (digit == std::string::npos || std::from_chars(line.data() + digit, line.data() + line.size(), value).ec != std::errc())
      return {};
    return value << 10;
  }
  return {};
}

// What the control groups leave: version 2, this process's own and each above it.
size_t left_by_groups(const fs::path& root) {
  std::ifstream groups(root / "proc/self/cgroup");
  std::string own = "/";
  for (std::string line; std::getline(groups, line);)
    if (line.starts_with("0::")) own = line.substr(3);
  size_t left = SIZE_MAX;
  const fs::path base = root / "sys/fs/cgroup";
  for (fs::path group = fs::path(own).relative_path();; group = group.parent_path()) {
    const auto most = number_of(base / group / "memory.max"), used = number_of(base / group / "memory.current");
    if (most && used) left = std::min(left, *most - std::min(*most, *used));
    if (group.empty()) return left;
  }
}

}  // namespace

size_t available_memory(const fs::path& root) {
  const auto machine = kilobytes_of(root / "proc/meminfo", "MemAvailable:");
  return machine ? std::min(*machine, left_by_groups(root)) : 0;
}

size_t available_memory() { return available_memory("/"); }

size_t resident_memory() { return kilobytes_of("/proc/self/status", "VmRSS:").value_or(0); }

}  // namespace quern
