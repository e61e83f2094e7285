#include "eval/record_world.h"

#include <algorithm>

namespace quern {

std::string plain_text(const Json& value) {
  if (value.is_string()) return value.as_string();
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const Json& item : value.as_array()) text += (text.empty() ? "" : ", ") + plain_text(item);
  return text;
}

const RecordKind::Record* RecordKind::find(std::string_view id) const {
  for (const Record& record : records)
    if (record.id == id) return &record;
  return nullptr;
}

const RecordTool* RecordWorld::tool(RecordOp op, size_t kind) const {
  for (const RecordTool& tool : tools)
    if (tool.op == op && tool.kind == kind) return &tool;
  return nullptr;
}

std::string RecordWorld::state() const {
  std::string all;
  for (const RecordKind& kind : kinds)
    for (const RecordKind::Record& record : kind.records) {
      all += kind.noun + " " + record.id;
      for (const Json& value : record.values) all += "|" + value.dump();
      all += "\n";
    }
  for (const std::string& line : log_) all += line + "\n";
  return all;
}

std::string RecordWorld::shown(const RecordKind& kind, const RecordKind::Record& record, std::string_view done) const {
  if (!done.empty() && style == Style::text) return fmt::format("{} {} {}", kind.noun, record.id, done);
  Json object = Json::object();
  if (!done.empty() && style == Style::brief) {
    object["ok"] = true;
    object["id"] = record.id;
    return object.dump();
  }
  if (style == Style::text) {
    std::string text = kind.noun + " " + record.id;
    for (size_t i = 0; i < kind.fields.size(); ++i)
      if (!record.values[i].is_null()) text += "\n" + kind.fields[i].phrase + ": " + plain_text(record.values[i]);
    return text;
  }
  object["id"] = record.id;
  for (size_t i = 0; i < kind.fields.size(); ++i)
    if (!record.values[i].is_null()) object[kind.fields[i].key] = record.values[i];
  return object.dump();
}

std::string RecordWorld::list(const RecordTool& tool, const Json& arguments) const {
  const RecordKind& kind = kinds[tool.kind];
  std::vector<const RecordKind::Record*> found;
  for (const RecordKind::Record& record : kind.records) {
    const bool fits = std::all_of(tool.fields.begin(), tool.fields.end(), [&](size_t f) {
      const Json* wanted = arguments.find(kind.fields[f].parameter);
      return !wanted || record.values[f] == *wanted;
    });
    if (fits) found.push_back(&record);
  }
  if (style == Style::text) {
    std::string text;
    for (const RecordKind::Record* record : found)
      text += (text.empty() ? "" : "\n") + record->id + (kind.fields.empty() ? "" : ", " + plain_text(record->values[0]));
    return found.empty() ? fmt::format("no {}", kind.plural) : text;
  }
  Json all = Json::array();
  for (const RecordKind::Record* record : found) {
    Json object = Json::object();
    object["id"] = record->id;
    for (size_t i = 0; i < std::min<size_t>(kind.fields.size(), style == Style::brief ? 1 : 2); ++i)
      object[kind.fields[i].key] = record->values[i];
    all.push_back(std::move(object));
  }
  return all.dump();
}

std::string RecordWorld::run(const RecordTool& tool, const Json& arguments) {
  RecordKind& kind = kinds[tool.kind];
  const auto failure = [&](const std::string& text) {
    if (style == Style::text) return "error: " + text;
    Json object = Json::object();
    object["error"] = text;
    return object.dump();
  };
  if (tool.op == RecordOp::list) return list(tool, arguments);
  if (tool.op != RecordOp::get && busy_calls > 0) return --busy_calls, failure("the service is busy, try again");
  const auto value_of = [&](size_t f) {
    const Json* given = arguments.find(kind.fields[f].parameter);
    return given ? *given : Json();
  };
  for (const size_t f : tool.fields) {
    const Json value = value_of(f);
    if (kind.fields[f].type == FieldType::date && value.is_string() &&
        (value.as_string().size() != 10 || value.as_string()[4] != '-'))
      return failure(fmt::format("{} must have the form YYYY-MM-DD", kind.fields[f].parameter));
  }
  if (tool.op == RecordOp::create) {
    RecordKind::Record record{kind.peek_id(), std::vector<Json>(kind.fields.size())};
    kind.next_number += kind.step;
    for (const size_t f : tool.fields) record.values[f] = value_of(f);
    kind.records.push_back(record);
    return shown(kind, record, "created");
  }
  const Json* given = arguments.find(kind.id_parameter);
  const std::string id = given ? plain_text(*given) : "";
  const auto record = std::find_if(kind.records.begin(), kind.records.end(), [&](const auto& r) { return r.id == id; });
  if (record == kind.records.end()) {
    if (strict_ids && kind.find(kind.id_prefix + id))
      return failure(fmt::format("no {} {}, did you mean {}?", kind.noun, id, kind.id_prefix + id));
    return failure(fmt::format("no {} {}", kind.noun, id));
  }
  if (tool.op == RecordOp::get) return shown(kind, *record, "");
  if (tool.op == RecordOp::remove) {
    const std::string text = shown(kind, *record, "removed");
    kind.records.erase(record);
    return text;
  }
  std::string what = tool.name + " " + id;
  for (const size_t f : tool.fields)
    if (const Json value = value_of(f); !value.is_null()) {
      if (tool.op == RecordOp::update) record->values[f] = value;
      what += " " + value.dump();
    }
  if (tool.op == RecordOp::act) log_.push_back(what);
  return shown(kind, *record, tool.op == RecordOp::act ? "done" : "updated");
}

std::string RecordWorld::execute(const ToolCall& call) {
  for (const RecordTool& tool : tools)
    if (tool.name == call.name) return run(tool, call.arguments);
  return fmt::format("error: no such tool: {}", call.name);
}

}  // namespace quern
