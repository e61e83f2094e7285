// Draws a service: kinds of records, fields with types, tools with names in one style or without meaning, descriptions, records.
#include <algorithm>
#include <array>
#include <sstream>

#include "eval/record_world.h"
#include "text/conversation.h"

namespace quern {
namespace {

std::vector<std::string> split_words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::string plural_of(const std::string& noun) {
  if (noun.ends_with('y') && !noun.ends_with("ay") && !noun.ends_with("ey") && !noun.ends_with("oy"))
    return noun.substr(0, noun.size() - 1) + "ies";
  return noun + (noun.ends_with('s') || noun.ends_with('x') || noun.ends_with("ch") || noun.ends_with("sh") ? "es" : "s");
}

struct Naming {
  NameStyle style;
  bool nonsense_tools, nonsense_parameters;
  bool descriptions;  // of parameters

  std::string of(const std::string& phrase) const {
    const std::vector<std::string> parts = split_words(phrase);
    return join_name(parts, style);
  }
};

FieldType field_type(Words& words, const std::string& phrase) {
  const auto is = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), phrase) != names.end();
  };
  if (is({"owner", "manager", "client", "speaker"})) return words.chance(0.8) ? FieldType::person : FieldType::text;
  if (is({"due date", "start date", "deadline"})) return FieldType::date;
  if (is({"amount", "total", "price", "budget", "weight", "temperature"}))
    return words.chance(0.7) ? FieldType::number : FieldType::integer;
  if (is({"quantity", "floor", "capacity", "rating", "duration", "size", "version"}))
    return words.chance(0.8) ? FieldType::integer : FieldType::number;
  if (is({"status", "priority", "category", "type"})) return words.chance(0.8) ? FieldType::choice : FieldType::text;
  return words.random().pick(std::array<FieldType, 8>{FieldType::text, FieldType::text, FieldType::text, FieldType::person,
                                                      FieldType::integer, FieldType::boolean, FieldType::choice, FieldType::list});
}

RecordField random_field(Words& words, const Naming& naming) {
  RecordField field;
  field.phrase = words.chance(0.5)   ? words.pick(pools::fields)
                 : words.chance(0.6) ? words.word()
                                     : words.word() + " " + words.word();
  field.type = field_type(words, field.phrase);
  field.parameter = naming.nonsense_parameters ? words.made_up() : naming.of(field.phrase);
  field.key = naming.of(field.phrase);
  if (field.type == FieldType::choice)
    while (field.choices.size() < 3)
      if (std::string choice = words.chance(0.7) ? words.pick(pools::statuses) : words.word();
          std::find(field.choices.begin(), field.choices.end(), choice) == field.choices.end())
        field.choices.push_back(std::move(choice));
  return field;
}

RecordKind random_kind(Words& words, const Naming& naming) {
  RecordKind kind;
  kind.noun = words.chance(0.5) ? words.pick(pools::entities) : words.word();
  kind.plural = plural_of(kind.noun);
  kind.id_parameter = words.split() == Split::training && words.chance(0.4) ? "id"
                      : words.chance(0.6)                                   ? naming.of(kind.noun + " id")
                      : naming.nonsense_parameters                          ? words.made_up()
                                                                            : naming.of(kind.noun);
  const auto letter = [&] { return static_cast<char>('A' + words.between(0, 25)); };
  switch (words.between(0, 4)) {
    case 0:
      kind.id_prefix = fmt::format("{}{}-", letter(), letter());
      break;
    case 1:
      kind.id_prefix = split_words(kind.noun)[0].substr(0, 3) + "_";
      break;
    case 2:
      kind.id_prefix = fmt::format("{}", letter());
      break;
    case 3:
      kind.id_prefix = fmt::format("{:x}{}", words.between(10, 15), words.between(10, 99));
      break;
    default:
      break;
  }
  kind.next_number = words.chance(0.4) ? words.between(1, 99) : words.between(100, 99999);
  kind.step = words.chance(0.6) ? 1 : words.between(2, 97);
  const int64_t n = words.between(2, 5);
  while (static_cast<int64_t>(kind.fields.size()) < n) {
    RecordField field = random_field(words, naming);
    const bool taken =
        field.parameter == kind.id_parameter || std::any_of(kind.fields.begin(), kind.fields.end(), [&](const RecordField& f) {
          return f.parameter == field.parameter || f.phrase == field.phrase;
        });
    if (!taken) kind.fields.push_back(std::move(field));
  }
  return kind;
}

Json schema_of(Words& words, const RecordField& field, bool described) {
  Json schema = Json::object();
  constexpr std::array<std::string_view, 8> kTypes = {"string",  "string", "integer", "number",
                                                      "boolean", "string", "string",  "array"};
  schema["type"] = kTypes[static_cast<size_t>(field.type)];
  if (described) {
    const std::string text = fill(words.pick({"The {0}", "{0}", "Value of the {0}", "{0} to use", "Its {0}"}), {field.phrase});
    schema["description"] = capitalised(text) + (field.type == FieldType::date                           ? ", YYYY-MM-DD"
                                                 : field.type == FieldType::boolean && words.chance(0.3) ? ", true or false"
                                                                                                         : "");
  }
  if (field.type == FieldType::choice) {
    schema["enum"] = Json::array();
    for (const std::string& choice : field.choices) schema["enum"].push_back(choice);
  }
  if (field.type == FieldType::list) {
    schema["items"] = Json::object();
    schema["items"]["type"] = "string";
  }
  return schema;
}

constexpr std::array<std::array<std::string_view, 2>, 15> kActions = {{{"send a reminder for", "send {0} reminder"},
                                                                       {"print", "print {0}"},
                                                                       {"lock", "lock {0}"},
                                                                       {"approve", "approve {0}"},
                                                                       {"escalate", "escalate {0}"},
                                                                       {"export", "export {0}"},
                                                                       {"check", "check {0}"},
                                                                       {"restart", "restart {0}"},
                                                                       {"confirm", "confirm {0}"},
                                                                       {"print the label of", "print {0} label"},
                                                                       {"test", "test {0}"},
                                                                       {"notify the owner of", "notify {0} owner"},
                                                                       {"pause", "pause {0}"},
                                                                       {"ship", "ship {0}"},
                                                                       {"refresh", "refresh {0}"}}};

RecordTool random_tool(Words& words, const RecordWorld& world, const Naming& naming, RecordOp op, size_t k) {
  const RecordKind& kind = world.kinds[k];
  RecordTool tool{.op = op, .kind = k};
  const Pool verbs[] = {pools::verbs_create, pools::verbs_get, pools::verbs_list, pools::verbs_update, pools::verbs_delete};
  std::string phrase, what;
  if (op == RecordOp::act && words.chance(0.4)) {
    tool.verb = words.word();
    phrase = tool.verb + " " + kind.noun;
    what = capitalised(tool.verb) + " one " + kind.noun;
  } else if (op == RecordOp::act) {
    size_t i = words.random().below(kActions.size());
    while (held_out(kActions[i][1]) != (words.split() == Split::held_out)) i = words.random().below(kActions.size());
    tool.verb = kActions[i][0];
    phrase = fill(kActions[i][1], {kind.noun});
    what = capitalised(tool.verb) + " one " + kind.noun;
  } else {
    tool.verb = words.chance(0.4) ? words.word() : words.pick(verbs[static_cast<size_t>(op)]);
    phrase = tool.verb + " " + (op == RecordOp::list ? kind.plural : kind.noun);
    constexpr std::array<std::string_view, 5> kWhat = {"a new {0}", "one {0} by its id", "{1}, all or those that match",
                                                       "fields of a {0}", "a {0} for good"};
    what = capitalised(tool.verb) + " " + fill(kWhat[static_cast<size_t>(op)], {kind.noun, kind.plural});
    if (tool.verb == "new") what = "Make a new " + kind.noun;
    if (tool.verb == "all") what = fmt::format("Get all {}, or those that match", kind.plural);
  }
  tool.name = naming.nonsense_tools ? words.made_up()
              : words.chance(0.15)  ? naming.of(kind.noun + " " + tool.verb.substr(0, tool.verb.find(' ')))
                                    : naming.of(phrase);
  while (std::any_of(world.tools.begin(), world.tools.end(), [&](const RecordTool& other) { return other.name == tool.name; }))
    tool.name = naming.of(phrase + " " + words.made_up());
  Json properties = Json::object(), required = Json::array();
  if (op != RecordOp::create && op != RecordOp::list) {
    Json id = Json::object();
    id["type"] = "string";
    if (naming.descriptions || kind.id_parameter != "id") id["description"] = fmt::format("Id of the {}", kind.noun);
    properties[kind.id_parameter] = std::move(id);
    required.push_back(kind.id_parameter);
  }
  for (size_t f = 0; f < kind.fields.size(); ++f) {
    if (op == RecordOp::get || op == RecordOp::remove || op == RecordOp::act) break;
    if (op == RecordOp::list && (kind.fields[f].type == FieldType::list || (f > 0 && words.chance(0.3)))) continue;
    if (op == RecordOp::update && f > 0 && words.chance(0.2)) continue;
    tool.fields.push_back(f);
    const bool needed = op == RecordOp::create && (f == 0 || words.chance(0.5));
    tool.required.push_back(needed);
    properties[kind.fields[f].parameter] = schema_of(words, kind.fields[f], naming.descriptions || naming.nonsense_parameters);
    if (needed) required.push_back(kind.fields[f].parameter);
  }
  Json parameters = Json::object();
  parameters["type"] = "object";
  parameters["properties"] = std::move(properties);
  if (required.size() > 0 || words.chance(0.5)) parameters["required"] = std::move(required);
  tool.definition = function_tool(tool.name, what + ".", std::move(parameters));
  return tool;
}

}  // namespace

Json random_value(Words& words, const RecordField& field) {
  switch (field.type) {
    case FieldType::person:
      return words.person();
    case FieldType::integer:
      return words.between(1, words.chance(0.5) ? 20 : 5000);
    case FieldType::number:
      return Json::number_literal(words.chance(0.5) ? words.money()
                                                    : fmt::format("{}.{}", words.between(0, 99), words.between(1, 9)));
    case FieldType::boolean:
      return words.chance(0.5);
    case FieldType::choice:
      return words.random().pick(field.choices);
    case FieldType::date:
      return fmt::format("{}-{:02}-{:02}", words.between(2018, 2029), words.between(1, 12), words.between(1, 28));
    case FieldType::list: {
      Json list = Json::array();
      for (int64_t i = 0, n = words.between(2, 3); i < n; ++i)
        list.push_back(words.chance(0.5) ? words.word() : words.pick(pools::common_words));
      return list;
    }
    case FieldType::text:
      break;
  }
  switch (words.between(0, 6)) {
    case 0:
      return words.code();
    case 1:
      return words.sentence();
    case 2:
      return words.proper(pools::cities);
    case 3:
      return words.proper(pools::companies);
    case 4:
      return words.made_up();
    default:
      return words.chance(0.5) ? words.word() : words.pick(pools::adjectives) + " " + words.word();
  }
}

std::string spoken_value(Words& words, const Json& value) {
  if (value.is_bool()) return std::string(value.as_bool() ? words.pick({"yes", "true", "on"}) : words.pick({"no", "false", "off"}));
  if (value.is_array()) {
    std::vector<std::string> items;
    for (const Json& item : value.as_array()) items.push_back(item.as_string());
    return listed(items);
  }
  std::string text = plain_text(value);
  if (value.is_string() &&
      (std::count(text.begin(), text.end(), ' ') > 1 || text.find_first_of(",:") != std::string::npos || words.chance(0.15)))
    return text.find('\'') == std::string::npos && words.chance(0.5) ? "'" + text + "'" : "\"" + text + "\"";
  return text;
}

std::vector<Json> definitions(const RecordWorld& world) {
  std::vector<Json> all;
  for (const RecordTool& tool : world.tools) all.push_back(tool.definition);
  return all;
}

RecordWorld random_service(Words& words, int64_t kinds, int64_t records) {
  RecordWorld world;
  world.style = words.random().pick(
      std::array<RecordWorld::Style, 3>{RecordWorld::Style::records, RecordWorld::Style::brief, RecordWorld::Style::text});
  const Naming naming{words.random().pick(std::array<NameStyle, 6>{NameStyle::snake, NameStyle::snake, NameStyle::snake,
                                                                   NameStyle::camel, NameStyle::camel, NameStyle::kebab}),
                      words.chance(0.15), words.chance(0.15), words.chance(0.7)};
  while (static_cast<int64_t>(world.kinds.size()) < kinds) {
    RecordKind kind = random_kind(words, naming);
    if (std::any_of(world.kinds.begin(), world.kinds.end(), [&](const RecordKind& other) {
          return other.noun == kind.noun || (!kind.id_prefix.empty() && other.id_prefix == kind.id_prefix);
        }))
      continue;
    while (static_cast<int64_t>(kind.records.size()) < records) {
      RecordKind::Record record{kind.peek_id(), {}};
      kind.next_number += kind.step;
      for (const RecordField& field : kind.fields) record.values.push_back(random_value(words, field));
      kind.records.push_back(std::move(record));
    }
    world.kinds.push_back(std::move(kind));
  }
  constexpr std::array<RecordOp, 6> kOps = {RecordOp::create, RecordOp::get,    RecordOp::list,
                                            RecordOp::update, RecordOp::remove, RecordOp::act};
  for (size_t k = 0; k < world.kinds.size(); ++k)
    for (const RecordOp op : kOps)
      if (k == 0 || words.chance(0.4)) world.tools.push_back(random_tool(words, world, naming, op, k));
  for (size_t i = world.tools.size(); i > 1; --i) std::swap(world.tools[i - 1], world.tools[words.random().below(i)]);
  return world;
}

}  // namespace quern
