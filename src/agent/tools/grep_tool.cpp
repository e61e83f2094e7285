#define PCRE2_CODE_UNIT_WIDTH 8
#include "agent/tools/grep_tool.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <chrono>
#include <deque>

#include "agent/tools/text_tools.h"
#include "agent/tools/tool_results.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "text/file_tools.h"

namespace quern {
namespace {

constexpr size_t kMostFiles = 20'000, kMostVisited = 200'000;
constexpr size_t kMostFileBytes = 16 << 20;
constexpr size_t kMostPattern = 1000;
constexpr double kMostSeconds = 10;
// Of one line: a pattern made to go wrong ends here after some milliseconds.
constexpr uint32_t kMatchLimit = 200'000, kDepthLimit = 2'000, kHeapKilobytes = 8 << 10;

// A literal text or a regular expression. PCRE2 searches bytes that are no UTF-8 as well (they match nothing).
class Pattern {
 public:
  static Result<Pattern> compile(const std::string& text, bool literal, bool ignore_case) {
    if (text.empty()) return fail(Errc::invalid_argument, "the pattern is empty");
    if (text.size() > kMostPattern) return fail(Errc::out_of_range, "the pattern is longer than {} bytes", kMostPattern);
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    if (literal) options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_LITERAL;
    if (ignore_case) options |= PCRE2_CASELESS;
    int error = 0;
    size_t offset = 0;
    Pattern pattern;
    const auto* bytes = reinterpret_cast<PCRE2_SPTR>(text.data());
    pattern.code_.reset(pcre2_compile(bytes, text.size(), options, &error, &offset, nullptr));
    if (!pattern.code_) {
      PCRE2_UCHAR message[200] = {};
      pcre2_get_error_message(error, message, sizeof message);
      return fail(Errc::malformed, "the pattern: {} at byte {} (literal: true looks for it as it is)",
                  reinterpret_cast<char*>(message), offset);
    }
    pattern.context_.reset(pcre2_match_context_create(nullptr));
    pattern.data_.reset(pcre2_match_data_create(1, nullptr));
    pcre2_set_match_limit(pattern.context_.get(), kMatchLimit);
    pcre2_set_depth_limit(pattern.context_.get(), kDepthLimit);
    pcre2_set_heap_limit(pattern.context_.get(), kHeapKilobytes);
    return pattern;
  }

  enum class Found { yes, no, gave_up };
  Found in(std::string_view line) const {
    const auto* bytes = reinterpret_cast<PCRE2_SPTR>(line.data());
    const int result = pcre2_match(code_.get(), bytes, line.size(), 0, 0, data_.get(), context_.get());
    if (result >= 0) return Found::yes;
    return result == PCRE2_ERROR_NOMATCH ? Found::no : Found::gave_up;
  }

 private:
  struct Free {
    void operator()(pcre2_code* p) const { pcre2_code_free(p); }
    void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
    void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  };
  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_context, Free> context_;
  std::unique_ptr<pcre2_match_data, Free> data_;
};

bool in_folder(std::string_view path, std::string_view folder) {
  return folder.empty() || (path.starts_with(folder) && path.size() > folder.size() && path[folder.size()] == '/');
}

// A pattern with a '/' is one of whole paths, in which * also stands for a '/'.
bool wanted(std::string_view path, const std::string& glob) {
  if (glob.empty()) return true;
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  return file_tools::glob_matches(glob, glob.find('/') == std::string::npos ? name : path);
}

class Search {
 public:
  Search(const RootFolder& root, const Json& arguments, const CallContext& context, Pattern pattern)
      : root_(root),
        call_(context),
        pattern_(std::move(pattern)),
        around_(static_cast<size_t>(integer_argument(arguments, "context", 0))),
        most_(static_cast<size_t>(integer_argument(arguments, "most", 100))) {}

  ToolResult run(const std::string& folder, const std::string& glob) {
    const RootFolder::Listing files = root_.find([](std::string_view) { return true; }, kMostFiles, kMostVisited);
    complete_ = files.complete;
    for (const std::string& path : files.paths) {
      if (!in_folder(path, folder) || !wanted(path, glob) || path.starts_with(".git/") || path.find("/.git/") != std::string::npos)
        continue;
      if (stopped_.empty()) file(path);
    }
    return answer();
  }

 private:
  void file(const std::string& path) {
    const auto content = root_.read(path, kMostFileBytes);
    if (!content) return;
    if (content->size > content->bytes.size()) {
      ++too_long_;
      return;
    }
    std::string_view rest = content->bytes;
    if (rest.substr(0, 8192).find('\0') != std::string_view::npos) return;  // not text
    ++searched_;
    const std::string shown_path = printable_name(path);
    std::deque<std::pair<size_t, std::string_view>> before;
    size_t after = 0, last_shown = 0;
    for (size_t number = 1; !rest.empty() && stopped_.empty(); ++number) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (number % 256 == 1) look();
      if (matches(line)) {
        const size_t first = before.empty() ? number : before.front().first;
        if (around_ > 0 && !text_.empty() && (last_shown == 0 || first > last_shown + 1)) text_ += "--\n";
        for (const auto& [at, one] : before) show(shown_path, at, '-', one);
        before.clear();
        show(shown_path, number, ':', line);
        ++matches_;
        after = around_;
        last_shown = number;
        if (matches_ == most_) stopped_ = fmt::format("only the first {} matches are shown", most_);
      } else if (after > 0) {
        show(shown_path, number, '-', line);
        --after;
        last_shown = number;
      } else if (around_ > 0) {
        before.emplace_back(number, line);
        if (before.size() > around_) before.pop_front();
      }
      if (text_.size() > kMostShownBytes) stopped_ = "more did not fit";
    }
  }

  bool matches(std::string_view line) {
    const Pattern::Found found = pattern_.in(line);
    if (found == Pattern::Found::gave_up) {
      ++gave_up_;
      look();
    }
    return found == Pattern::Found::yes;
  }

  void show(const std::string& path, size_t number, char mark, std::string_view line) {
    const std::string_view part = line.substr(0, std::min(line.size(), kMostLineBytes / 4));
    text_ += fmt::format("{}{}{}{} {}", path, mark, number, mark, replace_invalid_utf8(part));
    text_ += part.size() < line.size() ? " …\n" : "\n";
  }

  void look() {
    if (call_.is_cancelled()) stopped_ = "interrupted";
    if (std::chrono::duration<double>(Clock::now() - start_).count() > kMostSeconds)
      stopped_ = fmt::format("ended after {} s", kMostSeconds);
  }

  ToolResult answer() {
    std::string text = text_;
    if (matches_ == 0) text = fmt::format("no line matches in {} {}\n", searched_, searched_ == 1 ? "file" : "files");
    if (!stopped_.empty()) text += fmt::format("({})\n", stopped_);
    if (gave_up_ > 0) text += fmt::format("({} lines took the pattern too long and were passed over)\n", gave_up_);
    if (too_long_ > 0) text += fmt::format("({} files of more than 16 MiB were passed over)\n", too_long_);
    if (!complete_) text += "(the tree has more files than are looked at)\n";
    text.pop_back();
    return tool_done(std::move(text));
  }

  const RootFolder& root_;
  const CallContext& call_;
  Pattern pattern_;
  size_t around_, most_, matches_ = 0, searched_ = 0, too_long_ = 0, gave_up_ = 0;
  bool complete_ = true;
  std::string text_, stopped_;
  const Clock::time_point start_ = Clock::now();
};

ToolResult grep_files(const RootFolder& root, const Json& arguments, const CallContext& context) {
  const auto folder = RootFolder::normal(text_argument(arguments, "folder", "."));
  if (!folder) return tool_error(folder.error());
  if (const auto there = root.list(*folder, 1); !there) return tool_error(there.error(), /*folder_wanted=*/true);
  auto pattern = Pattern::compile(text_argument(arguments, "pattern"), flag_argument(arguments, "literal"),
                                  flag_argument(arguments, "ignore_case"));
  if (!pattern) return tool_error(pattern.error().message);
  return Search(root, arguments, context, std::move(*pattern)).run(*folder, text_argument(arguments, "files"));
}

}  // namespace

Tool grep_files_tool(std::shared_ptr<RootFolder> root) {
  Tool tool;
  tool.definition = tool_definition(
      "grep_files", "Find the lines of text files that match a regular expression, in the whole tree.",
      R"({"pattern": {"type": "string", "description": "Regular expression, as Perl has them, looked for in each line"},
          "literal": {"type": "boolean", "description": "The pattern is plain text"},
          "ignore_case": {"type": "boolean", "description": "Upper and lower case are the same"},
          "folder": {"type": "string", "description": "Look only in this folder"},
          "files": {"type": "string", "description": "Look only in files whose name is like *.md, or their path like docs/*.md"},
          "context": {"type": "integer", "minimum": 0, "maximum": 10, "description": "Lines to show before and after each match"},
          "most": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "Matches to show; absent: 100"}})",
      1);
  tool.execute = [root](const Json& arguments, const CallContext& context) { return grep_files(*root, arguments, context); };
  return tool;
}

}  // namespace quern
