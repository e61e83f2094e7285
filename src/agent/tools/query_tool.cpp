#include "agent/tools/query_tool.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "agent/tools/data_table.h"
#include "agent/tools/tool_results.h"

namespace quern {
namespace {

constexpr size_t kMostDataBytes = 64 << 20, kMostShown = 64 << 10, kMostCell = 2000;
constexpr double kMostSeconds = 10;

enum class Format { csv, json, json_lines };

Format format_of(std::string_view path) {
  const auto is = [&](std::string_view end) {
    return path.size() > end.size() &&
           std::equal(end.begin(), end.end(), path.end() - static_cast<std::ptrdiff_t>(end.size()),
                      [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b); });
  };
  if (is(".json") || is(".geojson")) return Format::json;
  return is(".jsonl") || is(".ndjson") ? Format::json_lines : Format::csv;
}

// A cell must not look like the next column or row.
std::string cell(std::string_view text) {
  const std::string_view part = whole_characters(text, kMostCell);
  std::string shown;
  for (const char c : part) {
    if (c == '\n')
      shown += "\\n";
    else if (c == '\t')
      shown += "\\t";
    else if (static_cast<unsigned char>(c) >= 0x20)
      shown += c;
  }
  if (part.size() < text.size()) shown += "…";
  return shown;
}

ToolResult describe(const DataTable& table) {
  std::vector<std::string> names;
  for (const std::string& name : table.columns) names.push_back(cell(name));
  return tool_done(fmt::format("table data: {} rows, columns: {}", table.rows, fmt::join(names, ", ")));
}

ToolResult ask(DataTable& table, const std::string& sql, int64_t most, const CallContext& context) {
  table.database.allow_only_reading({.seconds = kMostSeconds, .cancelled = context.cancelled});
  const auto failed = [&](const Error& error) {
    const std::string stopped = table.database.why_stopped();
    if (!stopped.empty()) return tool_error(stopped == "interrupted" ? stopped : "the query " + stopped);
    return tool_error(fmt::format("{} (table data has the columns {})", error.message, fmt::join(table.columns, ", ")));
  };
  auto rows = table.database.prepare(sql);
  if (!rows) return failed(rows.error());
  if (rows->has_more_sql()) return tool_error("sql: one statement only");
  std::string text;
  const int columns = rows->columns();
  for (int i = 0; i < columns; ++i) text += (i == 0 ? "" : "\t") + cell(rows->column_name(i));
  int64_t count = 0;
  while (true) {
    const auto row = rows->step();
    if (!row) return failed(row.error());
    if (!*row) break;
    if (count == most || text.size() > kMostShown) {
      text += fmt::format("\n(only the first {} rows are shown)", count);
      return tool_done(std::move(text));
    }
    text += '\n';
    for (int i = 0; i < columns; ++i) text += (i == 0 ? "" : "\t") + (rows->is_null(i) ? std::string("NULL") : cell(rows->text(i)));
    ++count;
  }
  text += fmt::format("\n({} {})", count, count == 1 ? "row" : "rows");
  return tool_done(std::move(text));
}

ToolResult query_json(const std::string& text, Format format, const std::string& path, const Json& arguments,
                      const CallContext& context) {
  const auto json = format == Format::json ? Json::parse(text, path) : parse_json_lines(text, path);
  if (!json) return tool_error(json.error().message);
  const auto part = at_pointer(*json, text_argument(arguments, "pointer"));
  if (!part) return tool_error(part.error().message);
  const std::string sql = text_argument(arguments, "sql");
  if (sql.empty() && arguments.find("pointer")) {
    const std::string shown = (*part)->dump_indented();
    const std::string_view fits = whole_characters(shown, kMostShown);
    return tool_done(fits.size() == shown.size()
                         ? shown
                         : fmt::format("{}\n(only the first {} of {} bytes are shown)", fits, fits.size(), shown.size()));
  }
  auto table = table_from_json(**part);
  if (!table) return tool_error(fmt::format("{}: {}", path, table.error().message));
  return sql.empty() ? describe(*table) : ask(*table, sql, integer_argument(arguments, "most", 100), context);
}

ToolResult query_data(const RootFolder& root, const Json& arguments, const CallContext& context) {
  const auto path = RootFolder::normal(text_argument(arguments, "path"));
  if (!path) return tool_error(path.error());
  const auto text = read_text_file(root, *path, kMostDataBytes);
  if (!text) return text.error();
  const Format format = format_of(*path);
  if (format != Format::csv) return query_json(*text, format, *path, arguments, context);
  if (arguments.find("pointer") && !text_argument(arguments, "pointer").empty()) return tool_error("pointer: only for JSON files");
  auto table = table_from_csv(*text);
  if (!table) return tool_error(fmt::format("{}: {}", *path, table.error().message));
  const std::string sql = text_argument(arguments, "sql");
  return sql.empty() ? describe(*table) : ask(*table, sql, integer_argument(arguments, "most", 100), context);
}

}  // namespace

Tool query_data_tool(std::shared_ptr<RootFolder> root) {
  Tool tool;
  tool.definition = tool_definition(
      "query_data", "Ask a CSV or JSON file with SQL. The table is called data; without sql, its columns are listed.",
      R"({"path": {"type": "string", "description": "File: .csv, .tsv, .json or .jsonl"},
          "sql": {"type": "string", "description": "One SELECT, as SQLite has it"},
          "pointer": {"type": "string", "description": "JSON pointer (/data/items) to the table; without sql, to a value to show"},
          "most": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "Rows to show; absent: 100"}})",
      1);
  tool.execute = [root](const Json& arguments, const CallContext& context) { return query_data(*root, arguments, context); };
  return tool;
}

}  // namespace quern
