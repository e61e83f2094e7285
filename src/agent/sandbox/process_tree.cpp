#include "agent/sandbox/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"

namespace quern {
namespace {

struct Entry {
  pid_t pid = 0, parent = 0, group = 0, session = 0;
  char state = 0;
  int64_t threads = 0;
};

std::string small_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(4096, '\0');
  const ssize_t got = fd ? ::read(fd.get(), text.data(), text.size()) : 0;
  text.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

// "12 (name) S 1 12 12 …": the name may hold anything, so fields count from the last parenthesis.
std::optional<Entry> parse_stat(pid_t pid, std::string_view stat) {
  const size_t end = stat.rfind(')');
  if (end == std::string_view::npos || end + 2 >= stat.size()) return std::nullopt;
  Entry entry{.pid = pid};
  std::string_view rest = stat.substr(end + 2);
  for (int field = 3; field <= 20 && !rest.empty(); ++field) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    int64_t number = 0;
    std::from_chars(word.data(), word.data() + word.size(), number);
    if (field == 3) entry.state = word.empty() ? 'X' : word[0];
    if (field == 4) entry.parent = static_cast<pid_t>(number);
    if (field == 5) entry.group = static_cast<pid_t>(number);
    if (field == 6) entry.session = static_cast<pid_t>(number);
    if (field == 20) entry.threads = number;
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  }
  return entry;
}

template <class Visit>
void each_process(const Visit& visit) {
  struct Close {
    void operator()(DIR* d) const { ::closedir(d); }
  };
  const std::unique_ptr<DIR, Close> proc(::opendir("/proc"));
  while (const dirent* entry = proc ? ::readdir(proc.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) continue;
    visit(pid, fmt::format("/proc/{}", pid));
  }
}

int64_t kilobytes_of(std::string_view status, std::string_view field) {
  const size_t at = status.find(field);
  if (at == std::string_view::npos) return 0;
  std::string_view rest = status.substr(at + field.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  int64_t number = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), number);
  return number;
}

}  // namespace

ProcessTree process_tree(pid_t root) {
  std::vector<Entry> all;
  each_process([&](pid_t pid, const std::string& folder) {
    const auto entry = parse_stat(pid, small_file(folder + "/stat"));
    if (entry && entry->state != 'Z' && entry->state != 'X') all.push_back(*entry);
  });
  ProcessTree tree;
  const auto belongs = [&](const Entry& e) {
    return e.pid == root || e.group == root || e.session == root ||
           std::find(tree.members.begin(), tree.members.end(), e.parent) != tree.members.end();
  };
  // Each round finds at least one more generation, or ends.
  for (size_t before = 1; before != 0 && !all.empty();) {
    const auto rest = std::stable_partition(all.begin(), all.end(), [&](const Entry& e) { return !belongs(e); });
    before = static_cast<size_t>(all.end() - rest);
    for (auto e = rest; e != all.end(); ++e) {
      tree.members.push_back(e->pid);
      if (std::find(tree.groups.begin(), tree.groups.end(), e->group) == tree.groups.end()) tree.groups.push_back(e->group);
    }
    all.erase(rest, all.end());
  }
  return tree;
}

int64_t ProcessTree::resident_bytes() const {
  int64_t total = 0;
  for (const pid_t pid : members) {
    const std::string status = small_file(fmt::format("/proc/{}/status", pid));
    total += (kilobytes_of(status, "RssAnon:") + kilobytes_of(status, "RssShmem:")) * 1024;
  }
  return total;
}

void ProcessTree::kill() const {
  for (const pid_t group : groups)
    if (group > 1) ::kill(-group, SIGKILL);
  for (const pid_t pid : members) ::kill(pid, SIGKILL);
}

int64_t processes_of_this_user() {
  int64_t total = 0;
  each_process([&](pid_t pid, const std::string& folder) {
    struct stat info{};
    if (::stat(folder.c_str(), &info) != 0 || info.st_uid != ::getuid()) return;
    const auto entry = parse_stat(pid, small_file(folder + "/stat"));
    if (entry) total += std::max<int64_t>(entry->threads, 1);
  });
  return total;
}

}  // namespace quern
