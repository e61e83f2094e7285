#include "text/volatile_lines.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "text/trim.h"

namespace quern {
namespace {

enum class Fate { stays, dropped, behind_system, at_end };

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// The line without what lists, headings and emphasis put in front, in small letters; long lines are prose and no facts.
std::string bare(std::string_view line) {
  constexpr size_t kLongest = 240;
  if (line.size() > kLongest) return {};
  return lower(line.substr(std::min(line.find_first_not_of(" \t-*#>"), line.size())));
}

bool starts_with_any(std::string_view text, const auto& starts) {
  return std::any_of(starts.begin(), starts.end(), [&](std::string_view start) { return text.starts_with(start); });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool has_clock(std::string_view line) {  // d:dd
  for (size_t i = 1; i + 2 < line.size(); ++i)
    if (line[i] == ':' && is_digit(line[i - 1]) && is_digit(line[i + 1]) && is_digit(line[i + 2])) return true;
  return false;
}
bool has_digit(std::string_view line) { return std::any_of(line.begin(), line.end(), is_digit); }

Fate fate_of_line(std::string_view line) {
  if (line.starts_with("x-anthropic-") && line.find(':') != std::string_view::npos) return Fate::dropped;
  constexpr std::array<std::string_view, 6> kNow = {"current time",       "current date", "current local time",
                                                    "current local date", "current utc",  "local time"};
  constexpr std::array<std::string_view, 4> kToday = {"today's date", "today’s date", "today is", "date:"};
  const std::string bared = bare(line);
  std::string_view text = bared;
  const bool today = starts_with_any(text, kToday);
  if (text.starts_with("the ")) text.remove_prefix(4);
  const bool now = starts_with_any(text, kNow);
  if (now && has_clock(text)) return Fate::at_end;
  if (today && has_clock(text)) return Fate::at_end;
  return (now || today) && has_digit(text) ? Fate::behind_system : Fate::stays;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// The end of the block of session facts that begins at line `at`; `at` itself when none does.
size_t block_end(const std::vector<std::string_view>& lines, size_t at) {
  const std::string_view line = trim(lines[at]);
  const auto find_line = [&](size_t from, size_t most, const auto& wanted) {
    for (size_t i = from; i < std::min(lines.size(), from + most); ++i)
      if (wanted(trim(lines[i]))) return i;
    return lines.size();
  };
  constexpr size_t kLongest = 40;  // lines of a block with an end of its own
  const bool announced =
      line.starts_with("Here is ") && line.find("useful information about the environment") != std::string_view::npos;
  if (line == "<env>" || (announced && at + 1 < lines.size() && trim(lines[at + 1]) == "<env>")) {
    const size_t close = find_line(at, kLongest, [](std::string_view l) { return l == "</env>"; });
    return close == lines.size() ? at : close + 1;
  }
  if (line == "# Environment") {
    size_t end = at + 1;
    const auto belongs = [](std::string_view l) {
      return trim(l).starts_with('-') || trim(l).starts_with("You have been invoked");
    };
    while (end < lines.size() && belongs(lines[end])) ++end;
    return find_line(at, end - at, [](std::string_view l) { return lower(l).find("working directory") != std::string::npos; }) < end
               ? end
               : at;
  }
  if (line.starts_with("gitStatus:"))
    return find_line(at + 1, lines.size(), [](std::string_view l) { return l.starts_with("# ") || l.starts_with('<'); });
  return at;
}

void append_line(std::string& text, std::string_view line) {
  text += line;
  text += '\n';
}

Message system_message(std::string_view text) { return {.role = Role::system, .content = std::string(trim(text))}; }

}  // namespace

size_t move_volatile_lines(Conversation& conversation, const VolatileLines& options) {
  std::vector<Message>& messages = conversation.messages;
  if (!options.move || messages.empty() || messages[0].role != Role::system || !messages[0].content_is_text) return 0;
  std::string stable, session, clock;
  size_t dropped = 0, moved = 0;
  const std::vector<std::string_view> lines = lines_of(messages[0].content);
  for (size_t at = 0; at < lines.size();) {
    const size_t end = block_end(lines, at);
    for (moved += end - at; at < end; ++at) append_line(session, lines[at]);
    if (at == lines.size()) break;
    const Fate fate = fate_of_line(lines[at]);
    if (fate == Fate::dropped) {
      ++dropped;
    } else if (fate == Fate::stays) {
      append_line(stable, lines[at]);
    } else {
      ++moved;
      append_line(fate == Fate::at_end ? clock : session, lines[at]);
    }
    ++at;
  }
  if (dropped + moved == 0) return 0;
  if (moved > 0 && trim(stable).empty() && conversation.tools.empty()) {  // there is nothing for it to go behind
    if (dropped == 0) return 0;
    moved = 0;
    stable = session + clock;
    session.clear();
    clock.clear();
  }
  while (stable.ends_with('\n')) stable.pop_back();
  messages[0].content = std::move(stable);
  if (!clock.empty()) {
    const bool answer_begun = messages.back().role == Role::assistant;
    messages.insert(messages.end() - (answer_begun ? 1 : 0), system_message(clock));
  }
  if (!session.empty()) messages.insert(messages.begin() + 1, system_message(session));
  return dropped + moved;
}

}  // namespace quern
