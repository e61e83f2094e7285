#include "confirm.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>

namespace quern {

// A signal may come just before a read begins, or in another thread, so a read alone would not always notice it.
std::optional<std::string> read_terminal_line(const std::function<bool()>& interrupted) {
  std::string line;
  while (!interrupted()) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, 100) <= 0) continue;
    char c = 0;
    if (::read(STDIN_FILENO, &c, 1) != 1) return std::nullopt;
    if (c == '\n') return line;
    line += c;
  }
  return std::nullopt;
}

Decision confirm_on_terminal(const std::string& call_line, const std::function<bool()>& interrupted) {
  while (true) {
    if (!call_line.empty()) fmt::print(stderr, "{}\n", call_line);
    fmt::print(stderr, "  do it? [y]es, [n]o, [a]ll that follow, [q]uit: ");
    const auto answer = read_terminal_line(interrupted);
    if (!answer) {
      fmt::print(stderr, "\n");
      return Decision::quit;
    }
    for (const auto& [word, decision] :
         {std::pair("yes", Decision::yes), {"no", Decision::no}, {"all", Decision::all}, {"quit", Decision::quit}})
      if (*answer == word || (answer->size() == 1 && answer->front() == word[0])) return decision;
  }
}

}  // namespace quern
