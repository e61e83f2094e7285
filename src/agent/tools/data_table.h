// CSV and JSON files as a table that SQL can be asked about: table `data` of a database in memory, its columns named after the file's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/sqlite.h"

namespace quern {

inline constexpr size_t kMostColumns = 500, kMostRows = 1'000'000;

struct DataTable {
  SqlDatabase database;
  std::vector<std::string> columns;
  int64_t rows = 0;
};

// The first line names the columns; fields are separated by ',', ';' or a tab, whichever the first line has most of; quotes as RFC 4180
// has them. Fields that are numbers become numbers, empty ones NULL; a short line ends with NULLs. malformed, out_of_range (columns, rows).
Result<DataTable> table_from_csv(std::string_view text);

// An array of objects: their keys are the columns, in the order in which they first occur. An array of arrays: columns c1, c2, …. An
// array of other values: a column `value`. An object: columns `key` and `value`. Arrays and objects inside are JSON text, for SQL's JSON
// functions. invalid_argument: none of these; out_of_range.
Result<DataTable> table_from_json(const Json& json);

// One JSON value a line, as an array. malformed names the line.
Result<Json> parse_json_lines(std::string_view text, std::string_view where);

// RFC 6901: "" is the whole, "/items/0/name" a part. not_found names the step that leads nowhere; malformed.
Result<const Json*> at_pointer(const Json& json, std::string_view pointer);

}  // namespace quern
