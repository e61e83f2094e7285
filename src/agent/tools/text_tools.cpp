#include "agent/tools/text_tools.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "agent/tools/tool_results.h"

namespace quern {
namespace {

using Mode = RootFolder::Mode;

// Lines with their ends; the last may have none.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

size_t line_at(std::string_view text, size_t offset) {
  return static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n')) + 1;
}

std::string_view without_end(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// "  12\ttext" for the lines from..to, counted from 1.
std::string numbered(const std::vector<std::string_view>& lines, size_t from, size_t to, size_t most_bytes) {
  std::string shown;
  for (size_t i = from; i <= std::min(to, lines.size()); ++i) {
    const std::string_view line = without_end(lines[i - 1]);
    const std::string_view part = whole_characters(line, kMostLineBytes);
    std::string one = fmt::format("{:>5}\t{}", i, part);
    if (part.size() < line.size()) one += fmt::format(" (and {} bytes more)", line.size() - part.size());
    if (shown.size() + one.size() > most_bytes) return shown + fmt::format("(line {} and what follows did not fit)", i);
    shown += one + "\n";
  }
  if (!shown.empty()) shown.pop_back();
  return shown;
}

bool has_windows_lines(std::string_view text) {
  const auto ends = std::count(text.begin(), text.end(), '\n');
  size_t windows = 0;
  for (size_t at = 0; (at = text.find("\r\n", at)) != std::string_view::npos; at += 2) ++windows;
  return ends > 0 && windows == static_cast<size_t>(ends);
}

std::string with_windows_lines(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) result += '\r';
    result += text[i];
  }
  return result;
}

std::string only_words(std::string_view text) {
  std::string words;
  for (const char c : text)
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') words += c;
  return words;
}

// A text that is there but for its white space is what a model gets wrong most often.
std::string hint(std::string_view text, std::string_view wanted) {
  const std::string words = only_words(wanted);
  if (words.size() < 3) return "";
  const size_t at = only_words(text).find(words);
  if (at == std::string::npos) return "";
  size_t seen = 0, offset = 0;
  for (; offset < text.size(); ++offset)
    if (!only_words(text.substr(offset, 1)).empty() && seen++ == at) break;
  return fmt::format("; something like it, with other white space, begins in line {}", line_at(text, offset));
}

struct Change {
  std::string text;            // the whole file afterwards
  size_t first = 0, last = 0;  // its lines that are new; last < first: some were taken out
};

class Edit {
 public:
  Edit(const Json& arguments, std::string path, std::string before)
      : arguments_(arguments), path_(std::move(path)), before_(std::move(before)), new_text_(text_argument(arguments, "new_text")) {
    if (has_windows_lines(before_)) new_text_ = with_windows_lines(new_text_);
  }

  tl::expected<Change, ToolResult> make() const {
    const bool by_text = arguments_.find("old_text") != nullptr, by_lines = arguments_.find("from_line") != nullptr;
    if (by_text == by_lines) return refuse("give either old_text, or from_line and to_line");
    return by_text ? replace_text() : replace_lines();
  }

 private:
  static tl::unexpected<ToolResult> refuse(std::string_view why) { return tl::unexpected(tool_error(why)); }

  tl::expected<Change, ToolResult> replace_text() const {
    std::string old_text = text_argument(arguments_, "old_text");
    if (old_text.empty()) return refuse("old_text is empty: to insert, give from_line and a to_line one less");
    if (has_windows_lines(before_)) old_text = with_windows_lines(old_text);
    std::vector<size_t> places;
    for (size_t at = 0; (at = before_.find(old_text, at)) != std::string::npos && places.size() < 20; ++at) places.push_back(at);
    if (places.empty()) return refuse(fmt::format("{}: old_text does not occur{}", path_, hint(before_, old_text)));
    if (places.size() > 1) {
      std::vector<size_t> lines;
      for (const size_t at : places) lines.push_back(line_at(before_, at));
      return refuse(fmt::format("{}: old_text occurs {} times, in lines {}: give more of the text around it", path_, places.size(),
                                fmt::join(lines, ", ")));
    }
    if (old_text == new_text_) return refuse("new_text is the same as old_text");
    return change(places[0], old_text.size());
  }

  tl::expected<Change, ToolResult> replace_lines() const {
    const std::vector<std::string_view> lines = lines_of(before_);
    const int64_t count = static_cast<int64_t>(lines.size()), from = integer_argument(arguments_, "from_line", 0);
    const int64_t to = integer_argument(arguments_, "to_line", from);
    if (from < 1 || from > count + 1) return refuse(fmt::format("{}: from_line {} is outside 1 to {}", path_, from, count + 1));
    if (to < from - 1 || to > count) return refuse(fmt::format("{}: to_line {} is outside {} to {}", path_, to, from - 1, count));
    const auto offset_of = [&](int64_t line) {  // of the line's beginning
      return line > count ? before_.size() : static_cast<size_t>(lines[static_cast<size_t>(line - 1)].data() - before_.data());
    };
    const size_t begin = offset_of(from), end = offset_of(to + 1);
    Edit whole(*this);  // new_text stands for whole lines
    const std::string_view line_end = has_windows_lines(before_) ? "\r\n" : "\n";
    if (!whole.new_text_.empty() && !whole.new_text_.ends_with('\n')) whole.new_text_ += line_end;
    if (begin == before_.size() && begin > 0 && !before_.ends_with('\n')) whole.new_text_.insert(0, line_end);
    return whole.change(begin, end - begin);
  }

  Change change(size_t begin, size_t length) const {
    Change made;
    made.text = before_.substr(0, begin) + new_text_ + before_.substr(begin + length);
    made.first = line_at(made.text, begin);
    made.last = new_text_.empty() ? made.first - 1 : line_at(made.text, begin + new_text_.size() - 1);
    return made;
  }

  const Json& arguments_;
  std::string path_, before_, new_text_;
};

ToolResult edit_file(RootFolder& root, const Json& arguments, Mode mode) {
  const auto path = RootFolder::normal(text_argument(arguments, "path"));
  if (!path) return tool_error(path.error());
  auto before = read_text_file(root, *path, kMostEditBytes);
  if (!before) return std::move(before.error());
  const auto change = Edit(arguments, *path, std::move(*before)).make();
  if (!change) return change.error();
  if (change->text.size() > kMostEditBytes)
    return tool_error(fmt::format("{}: would have more than {} bytes", *path, kMostEditBytes));
  if (change->text.find('\0') != std::string::npos) return tool_error("new_text: a text file has no zero characters");
  if (const auto written = root.write(*path, change->text, mode); !written) return tool_error(written.error());
  constexpr size_t kAround = 2, kMostShown = 20;
  const size_t from = change->first > kAround ? change->first - kAround : 1;
  const size_t to = std::min(change->last + kAround, from + kMostShown);
  const std::string around = numbered(lines_of(change->text), from, to, kMostShownBytes);
  return tool_done(fmt::format("edited {}; it now reads{}", *path, around.empty() ? " empty" : ":\n" + around));
}

ToolResult read_lines(const RootFolder& root, const Json& arguments) {
  const auto path = RootFolder::normal(text_argument(arguments, "path"));
  if (!path) return tool_error(path.error());
  const auto text = read_text_file(root, *path, kMostPagedBytes);
  if (!text) return text.error();
  const std::vector<std::string_view> lines = lines_of(*text);
  const int64_t from = integer_argument(arguments, "from_line", 1), count = integer_argument(arguments, "lines", 200);
  if (lines.empty()) return tool_done(fmt::format("{} is empty", *path));
  if (from > static_cast<int64_t>(lines.size()))
    return tool_error(fmt::format("{}: from_line {}: it has {} lines", *path, from, lines.size()));
  const int64_t to = std::min(from + count - 1, static_cast<int64_t>(lines.size()));
  return tool_done(fmt::format("{}, lines {} to {} of {}:\n{}", *path, from, to, lines.size(),
                               numbered(lines, static_cast<size_t>(from), static_cast<size_t>(to), kMostShownBytes)));
}

}  // namespace

Tool edit_file_tool(std::shared_ptr<RootFolder> root) {
  Tool tool;
  tool.definition = tool_definition(
      "edit_file",
      "Change part of a text file: replace old_text, which must occur exactly once, or the lines from_line to to_line. A to_line one "
      "less than from_line inserts before from_line.",
      R"({"path": {"type": "string", "description": "File to change"},
          "new_text": {"type": "string", "description": "What is to stand there; empty: nothing"},
          "old_text": {"type": "string", "description": "The exact text to replace, white space included"},
          "from_line": {"type": "integer", "minimum": 1, "description": "First line to replace, counted from 1"},
          "to_line": {"type": "integer", "minimum": 0, "description": "Last line to replace; absent: from_line"}})",
      2);
  tool.changes = true;
  tool.execute = [root](const Json& arguments, const CallContext&) { return edit_file(*root, arguments, Mode::act); };
  tool.preview = [root](const Json& arguments, const CallContext&) { return edit_file(*root, arguments, Mode::check); };
  return tool;
}

Tool read_lines_tool(std::shared_ptr<RootFolder> root) {
  Tool tool;
  tool.definition = tool_definition("read_lines", "Read some lines of a text file, with their numbers.",
                                    R"({"path": {"type": "string", "description": "File to read"},
          "from_line": {"type": "integer", "minimum": 1, "description": "First line, counted from 1; absent: 1"},
          "lines": {"type": "integer", "minimum": 1, "maximum": 2000, "description": "How many; absent: 200"}})",
                                    1);
  tool.execute = [root](const Json& arguments, const CallContext&) { return read_lines(*root, arguments); };
  return tool;
}

}  // namespace quern
