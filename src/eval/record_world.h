// RecordWorld: a service that keeps records of a few kinds (tickets, plants, made-up things), with tools whose names, parameters and
// result texts are drawn at random. A tool does one operation on one kind.
#pragma once

#include <string>
#include <vector>

#include "eval/words.h"
#include "eval/world.h"

namespace quern {

enum class FieldType { text, person, integer, number, boolean, choice, date, list };

struct RecordField {
  std::string phrase;     // "due date", as people say it
  std::string parameter;  // "dueDate", or a name without meaning
  std::string key;        // in results: "due_date"
  FieldType type = FieldType::text;
  std::vector<std::string> choices;  // of FieldType::choice
};

struct RecordKind {
  std::string noun, plural;  // "ticket", "tickets"
  std::string id_parameter, id_prefix;
  int64_t next_number = 1, step = 1;
  std::vector<RecordField> fields;
  struct Record {
    std::string id;
    std::vector<Json> values;  // as fields; null: not set
  };
  std::vector<Record> records;

  std::string peek_id() const { return id_prefix + std::to_string(next_number); }
  const Record* find(std::string_view id) const;
};

enum class RecordOp { create, get, list, update, remove, act };

struct RecordTool {
  RecordOp op = RecordOp::get;
  size_t kind = 0;
  std::string name;
  std::string verb;            // how people ask for it: "cancel", "send a reminder for"
  std::vector<size_t> fields;  // parameters besides the id, in the schema's order
  std::vector<bool> required;  // as fields (create)
  Json definition;
};

class RecordWorld : public World {
 public:
  // What kinds of answers the service gives: whole records as JSON, short JSON, or text.
  enum class Style { records, brief, text };

  std::string execute(const ToolCall& call) override;
  std::unique_ptr<World> clone() const override { return std::make_unique<RecordWorld>(*this); }
  std::string state() const override;

  const RecordTool* tool(RecordOp op, size_t kind) const;

  std::vector<RecordKind> kinds;
  std::vector<RecordTool> tools;
  Style style = Style::records;
  bool strict_ids = false;  // an unknown id that lacks its prefix is answered with the id that was meant
  int64_t busy_calls = 0;   // this many changing calls are answered "try again" first

 private:
  std::string run(const RecordTool& tool, const Json& arguments);
  std::string list(const RecordTool& tool, const Json& arguments) const;
  std::string shown(const RecordKind& kind, const RecordKind::Record& record, std::string_view done) const;
  std::vector<std::string> log_;  // of act
};

// A service of `kinds` kinds with every operation on the first and some on the others, filled with records.
RecordWorld random_service(Words& words, int64_t kinds, int64_t records);
Json random_value(Words& words, const RecordField& field);
// As people write a value: true is "yes" or "on", a list is "a, b and c", text with spaces stands in quotes.
std::string spoken_value(Words& words, const Json& value);
std::vector<Json> definitions(const RecordWorld& world);
std::string plain_text(const Json& value);  // without quotes

}  // namespace quern
