// Arbitrary bytes as CSV, as JSON lines and as a JSON pointer into them: an error, or a table that has the rows and columns it says.
#include "agent/tools/data_table.h"
#include "fuzz.h"

using namespace quern;

namespace {

void check_table(Result<DataTable> table) {
  if (!fuzz::succeeded(table)) return;
  auto rows = table->database.prepare("SELECT * FROM data");
  QUERN_CHECK(rows && rows->columns() == static_cast<int>(table->columns.size()) && !table->columns.empty());
  for (int i = 0; i < rows->columns(); ++i) QUERN_CHECK(rows->column_name(i) == table->columns[static_cast<size_t>(i)]);
  int64_t count = 0;
  while (rows->step().value()) ++count;
  QUERN_CHECK(count == table->rows, count, table->rows);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  if (text.size() > 4'000) return 0;
  check_table(table_from_csv(text));
  const auto json = parse_json_lines(text, "lines");
  if (!fuzz::succeeded(json)) return 0;
  check_table(table_from_json(*json));
  for (const Json& value : json->as_array()) {
    if (value.is_array() || value.is_object()) check_table(table_from_json(value));
    if (value.is_string()) fuzz::succeeded(at_pointer(*json, value.as_string()));
  }
  return 0;
}
