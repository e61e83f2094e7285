#include "agent/tools/data_table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <unordered_map>

#include "base/utf8.h"

namespace quern {
namespace {

// Numbers as they are usually written; "007" and "1_000" stay text, and so does what a double would change.
void bind_field(SqlStatement& insert, int parameter, const std::string& field) {
  if (field.empty()) {
    insert.bind_null(parameter);
    return;
  }
  const char *begin = field.data(), *end = begin + field.size();
  const size_t digits = field[0] == '-' ? 1 : 0;
  const bool padded = field.size() > digits + 1 && field[digits] == '0' && field[digits + 1] != '.';
  const bool numeric = field.find_first_not_of("+-.0123456789eE") == std::string::npos && field[0] != '+' && !padded;
  int64_t integer = 0;
  double real = 0;
  if (numeric) {
    if (const auto r = std::from_chars(begin, end, integer); r.ec == std::errc() && r.ptr == end) {
      insert.bind(parameter, integer);
      return;
    }
    const bool fractional = field.find_first_of(".eE") != std::string::npos;
    if (const auto r = std::from_chars(begin, end, real);
        fractional && r.ec == std::errc() && r.ptr == end && std::isfinite(real)) {
      insert.bind(parameter, real);
      return;
    }
  }
  insert.bind(parameter, field);
}

void bind_json(SqlStatement& insert, int parameter, const Json* value) {
  if (!value || value->is_null()) {
    insert.bind_null(parameter);
  } else if (value->is_bool()) {
    insert.bind(parameter, int64_t{value->as_bool()});
  } else if (value->is_string()) {
    insert.bind(parameter, value->as_string());
  } else if (value->is_number()) {
    if (const auto integer = value->to_int64(); integer && value->number_text().find_first_of(".eE") == std::string::npos)
      insert.bind(parameter, *integer);
    else
      insert.bind(parameter, value->as_double());
  } else {
    insert.bind(parameter, value->dump(Json::Spacing::compact));
  }
}

std::string sql_name(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) text.append(c == '"' ? 2 : 1, c);
  return text + "\"";
}

// SQL does not tell "Name" and "name" apart.
std::string folded(std::string_view name) {
  std::string text(name);
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

// Names as a table can have them: not empty, each once.
std::vector<std::string> usable(const std::vector<std::string>& names) {
  std::vector<std::string> result;
  std::set<std::string> taken;
  for (size_t i = 0; i < names.size(); ++i) {
    std::string name = printable_line(names[i]);
    name.erase(0, std::min(name.find_first_not_of(' '), name.size()));
    name.erase(name.find_last_not_of(' ') + 1);
    if (name.empty()) name = fmt::format("c{}", i + 1);
    const std::string stem = name;
    for (int n = 2; !taken.insert(folded(name)).second; ++n) name = fmt::format("{}_{}", stem, n);
    result.push_back(std::move(name));
  }
  return result;
}

// A table that is being filled, all in one transaction.
class Filling {
 public:
  static Result<Filling> begin(const std::vector<std::string>& names) {
    if (names.empty()) return fail(Errc::invalid_argument, "there are no columns");
    if (names.size() > kMostColumns) return fail(Errc::out_of_range, "{} columns, at most {}", names.size(), kMostColumns);
    QUERN_ASSIGN(SqlDatabase database, SqlDatabase::open("", SqlDatabase::Mode::create));
    const std::vector<std::string> columns = usable(names);
    std::string create = "CREATE TABLE data(", insert = "INSERT INTO data VALUES (";
    for (size_t i = 0; i < columns.size(); ++i) {
      create += (i == 0 ? "" : ", ") + sql_name(columns[i]);
      insert += i == 0 ? "?" : ", ?";
    }
    QUERN_TRY(database.execute(create + ")"));
    QUERN_ASSIGN(SqlStatement statement, database.prepare(insert + ")"));
    QUERN_TRY(database.execute("BEGIN"));
    return Filling(DataTable{std::move(database), columns, 0}, std::move(statement));
  }

  SqlStatement& row() { return insert_; }
  Result<void> add() {
    if (table_.rows == static_cast<int64_t>(kMostRows)) return fail(Errc::out_of_range, "more than {} rows", kMostRows);
    ++table_.rows;
    return insert_.run();
  }
  Result<DataTable> finish() {
    QUERN_TRY(table_.database.execute("COMMIT"));
    return std::move(table_);
  }

 private:
  Filling(DataTable table, SqlStatement insert) : table_(std::move(table)), insert_(std::move(insert)) {}
  DataTable table_;
  SqlStatement insert_;  // goes before its database
};

// Reads records one after another.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : rest_(text) {
    if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
    const std::string_view first = rest_.substr(0, rest_.find('\n'));
    const auto count = [&](char c) { return std::count(first.begin(), first.end(), c); };
    for (const char c : {';', '\t'})
      if (count(c) > count(separator_)) separator_ = c;
  }
  bool at_end() const { return rest_.empty(); }
  size_t line() const { return line_; }

  Result<void> next(std::vector<std::string>& fields) {
    fields.clear();
    line_ = next_line_;
    while (true) {
      std::string field;
      if (rest_.starts_with('"'))
        QUERN_TRY(quoted_field(field));
      else
        plain_field(field);
      fields.push_back(std::move(field));
      if (fields.size() > kMostColumns) return fail(Errc::out_of_range, "line {}: more than {} fields", line_, kMostColumns);
      if (!rest_.starts_with(separator_)) break;
      rest_.remove_prefix(1);
    }
    if (rest_.starts_with("\r\n"))
      rest_.remove_prefix(2);
    else if (rest_.starts_with('\n'))
      rest_.remove_prefix(1);
    ++next_line_;
    return {};
  }

 private:
  void plain_field(std::string& field) {
    const char ends[] = {separator_, '\n'};
    std::string_view found = rest_.substr(0, rest_.find_first_of(std::string_view(ends, 2)));
    rest_.remove_prefix(found.size());
    if (found.ends_with('\r')) found.remove_suffix(1);
    field = found;
  }
  Result<void> quoted_field(std::string& field) {
    rest_.remove_prefix(1);
    while (true) {
      const size_t end = rest_.find('"');
      if (end == std::string_view::npos) return fail(Errc::malformed, "line {}: a quote without its end", line_);
      next_line_ += static_cast<size_t>(std::count(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
      field += rest_.substr(0, end);
      rest_.remove_prefix(end + 1);
      if (!rest_.starts_with('"')) break;
      field += '"';
      rest_.remove_prefix(1);
    }
    if (rest_.empty() || rest_.starts_with(separator_) || rest_.starts_with('\n') || rest_.starts_with("\r\n")) return {};
    return fail(Errc::malformed, "line {}: text behind a closing quote", line_);
  }

  std::string_view rest_;
  char separator_ = ',';
  size_t line_ = 1, next_line_ = 1;
};

Result<DataTable> table_of_objects(const Json::Array& rows) {
  std::vector<std::string> names;
  std::unordered_map<std::string, int> places;
  for (const Json& row : rows)
    for (const auto& [name, value] : row.as_object())
      if (places.emplace(name, static_cast<int>(names.size()) + 1).second) {
        names.push_back(name);
        if (names.size() > kMostColumns) return fail(Errc::out_of_range, "more than {} different keys", kMostColumns);
      }
  QUERN_ASSIGN(Filling filling, Filling::begin(names));
  for (const Json& row : rows) {
    for (const auto& [name, value] : row.as_object()) bind_json(filling.row(), places[name], &value);
    QUERN_TRY(filling.add());
  }
  return filling.finish();
}

Result<DataTable> table_of_arrays(const Json::Array& rows) {
  size_t width = 0;
  for (const Json& row : rows) width = std::max(width, row.size());
  QUERN_ASSIGN(Filling filling, Filling::begin(std::vector<std::string>(width)));
  for (const Json& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) bind_json(filling.row(), static_cast<int>(i) + 1, &row.as_array()[i]);
    QUERN_TRY(filling.add());
  }
  return filling.finish();
}

}  // namespace

Result<DataTable> table_from_csv(std::string_view text) {
  CsvReader reader(text);
  if (reader.at_end()) return fail(Errc::malformed, "the file is empty");
  std::vector<std::string> fields;
  QUERN_TRY(reader.next(fields));
  const size_t width = fields.size();
  QUERN_ASSIGN(Filling filling, Filling::begin(fields));
  while (!reader.at_end()) {
    QUERN_TRY(reader.next(fields));
    if (fields.size() == 1 && fields[0].empty()) continue;  // an empty line
    if (fields.size() > width)
      return fail(Errc::malformed, "line {}: {} fields, the first line has {}", reader.line(), fields.size(), width);
    for (size_t i = 0; i < fields.size(); ++i) bind_field(filling.row(), static_cast<int>(i) + 1, fields[i]);
    QUERN_TRY(filling.add());
  }
  return filling.finish();
}

Result<DataTable> table_from_json(const Json& json) {
  if (json.is_object()) {
    QUERN_ASSIGN(Filling filling, Filling::begin({"key", "value"}));
    for (const auto& [key, value] : json.as_object()) {
      filling.row().bind(1, key);
      bind_json(filling.row(), 2, &value);
      QUERN_TRY(filling.add());
    }
    return filling.finish();
  }
  if (!json.is_array()) return fail(Errc::invalid_argument, "a {}: only an array or an object is a table", json.kind_name());
  const Json::Array& rows = json.as_array();
  const auto all = [&](Json::Kind kind) {
    return !rows.empty() &&
           std::all_of(rows.begin(), rows.end(), [&](const Json& row) { return row.kind() == kind && row.size() > 0; });
  };
  if (all(Json::Kind::object)) return table_of_objects(rows);
  if (all(Json::Kind::array)) return table_of_arrays(rows);
  QUERN_ASSIGN(Filling filling, Filling::begin({"value"}));
  for (const Json& row : rows) {
    bind_json(filling.row(), 1, &row);
    QUERN_TRY(filling.add());
  }
  return filling.finish();
}

Result<Json> parse_json_lines(std::string_view text, std::string_view where) {
  Json all = Json::array();
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    QUERN_ASSIGN(Json value, Json::parse(line, fmt::format("{}, line {}", where, number)));
    all.push_back(std::move(value));
  }
  return all;
}

Result<const Json*> at_pointer(const Json& json, std::string_view pointer) {
  if (!pointer.empty() && pointer[0] != '/') return fail(Errc::malformed, "pointer: expected \"\" or a text that begins with /");
  const Json* at = &json;
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::string_view raw = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(raw.size());
    std::string step;
    for (size_t i = 0; i < raw.size(); ++i) {
      const bool escape = raw[i] == '~';
      if (escape && (i + 1 == raw.size() || (raw[i + 1] != '0' && raw[i + 1] != '1')))
        return fail(Errc::malformed, "pointer: ~ is written ~0, / inside a name ~1");
      step += !escape ? raw[i] : raw[++i] == '0' ? '~' : '/';
    }
    const Json* next = at->find(step);
    size_t index = 0;
    const auto parsed = std::from_chars(step.data(), step.data() + step.size(), index);
    if (at->is_array() && parsed.ec == std::errc() && parsed.ptr == step.data() + step.size() && index < at->size())
      next = &at->as_array()[index];
    if (!next)
      return fail(Errc::not_found, "pointer: {:?} is not in this {}{}", step.substr(0, 80), at->kind_name(),
                  at->is_array() ? fmt::format(" of {}", at->size()) : "");
    at = next;
  }
  return at;
}

}  // namespace quern
