#include "agent/context/long_results.h"

#include <algorithm>

#include "base/utf8.h"

namespace quern {
namespace {

// A line longer than this counts as several: a JSON document is often one line, and must be readable page by page too.
constexpr size_t kMaxLine = 2000;
constexpr int64_t kDefaultLines = 200;

// The text's first line with its end.
std::string_view first_line(std::string_view text) {
  const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
  if (end <= kMaxLine) return text.substr(0, end);
  const size_t whole = complete_utf8_prefix(text.substr(0, kMaxLine));
  return text.substr(0, whole > 0 ? whole : kMaxLine);
}

int64_t count_lines(std::string_view text) {
  int64_t lines = 0;
  for (; !text.empty(); ++lines) text.remove_prefix(first_line(text).size());
  return lines;
}

struct Page {
  std::string text;
  int64_t lines = 0;
};

Page take(std::string_view text, int64_t most_lines, size_t max_bytes) {
  Page page;
  while (!text.empty() && page.lines < most_lines) {
    const std::string_view line = first_line(text);
    if (page.lines > 0 && page.text.size() + line.size() > max_bytes) break;
    page.text.append(line);
    if (!line.ends_with('\n') && line.size() < text.size()) page.text += '\n';  // a part of a long line
    text.remove_prefix(line.size());
    ++page.lines;
  }
  return page;
}

std::string read_on(int64_t call, int64_t line) {
  return fmt::format(R"({} {{"id": {}, "from_line": {}}})", kReadResult, call, line);
}

ToolResult read(const ResultStore& store, size_t max_bytes, const Json& arguments) {
  const auto number = [&](std::string_view name, int64_t otherwise) {
    const Json* value = arguments.find(name);
    return value ? value->to_int64().value_or(-1) : otherwise;
  };
  const int64_t id = number("id", -1), from = number("from_line", 1), lines = number("lines", kDefaultLines);
  const std::string* whole = store.find(id);
  if (!whole) return {fmt::format("error: no result {} is kept", id), true};
  if (from < 1 || lines < 1) return {"error: from_line and lines count from 1", true};
  std::string_view rest = *whole;
  for (int64_t line = 1; line < from && !rest.empty(); ++line) rest.remove_prefix(first_line(rest).size());
  const int64_t count = count_lines(*whole);
  if (rest.empty()) return {fmt::format("error: result {} has {} lines", id, count), true};
  Page page = take(rest, lines, max_bytes);
  if (!page.text.ends_with('\n')) page.text += '\n';
  const int64_t last = from + page.lines - 1;
  page.text += fmt::format("(lines {} to {} of {} of result {}", from, last, count, id);
  page.text += last < count ? fmt::format("; {} goes on)", read_on(id, last + 1)) : ")";
  return {std::move(page.text), false};
}

}  // namespace

const std::string* ResultStore::find(int64_t call) const {
  const auto found = texts_.find(call);
  return found == texts_.end() ? nullptr : &found->second;
}

std::string extent(std::string_view text) {
  const int64_t lines = count_lines(text);
  const std::string size = text.size() < 10240 ? fmt::format("{} bytes", text.size()) : fmt::format("{} KiB", text.size() >> 10);
  return fmt::format("{} line{}, {}", lines, lines == 1 ? "" : "s", size);
}

std::string beginning_of(std::string_view text, int64_t call, size_t max_bytes) {
  Page page = take(text, INT64_MAX, std::max<size_t>(max_bytes / 4, 1));
  if (!page.text.ends_with('\n')) page.text += '\n';
  return page.text + fmt::format("(result {}, {}: these are lines 1 to {}; {} goes on)", call, extent(text), page.lines,
                                 read_on(call, page.lines + 1));
}

Tool read_result_tool(const ResultStore& store, size_t max_bytes) {
  Tool tool;
  tool.definition = Json::parse(R"({"type": "function", "function": {"name": "read_result",
    "description": "Read lines of an earlier result that was too long to be shown whole.",
    "parameters": {"type": "object", "properties": {
      "id": {"type": "integer", "description": "The result's number."},
      "from_line": {"type": "integer", "description": "The first line to read, from 1."},
      "lines": {"type": "integer", "description": "How many lines, 200 if absent."}}, "required": ["id"]}}})",
                                kReadResult)
                        .value();
  tool.execute = [&store, max_bytes](const Json& arguments, const CallContext&) { return read(store, max_bytes, arguments); };
  return tool;
}

}  // namespace quern
