#include "eval/bfcl.h"

#include <algorithm>
#include <array>

#include "eval/bfcl_file.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxSchemaDepth = 50;

constexpr std::array kCategories = {
    BfclCategory{"simple_python", BfclRule::one_call},
    BfclCategory{"simple_java", BfclRule::one_call, false, BfclLanguage::java},
    BfclCategory{"simple_javascript", BfclRule::one_call, false, BfclLanguage::javascript},
    BfclCategory{"multiple", BfclRule::choose},
    BfclCategory{"parallel", BfclRule::in_parallel},
    BfclCategory{"parallel_multiple", BfclRule::in_parallel},
    BfclCategory{"irrelevance", BfclRule::no_call},
    BfclCategory{"live_simple", BfclRule::one_call, true},
    BfclCategory{"live_multiple", BfclRule::choose, true},
    BfclCategory{"live_parallel", BfclRule::in_parallel, true},
    BfclCategory{"live_parallel_multiple", BfclRule::in_parallel, true},
    BfclCategory{"live_irrelevance", BfclRule::no_call, true},
    BfclCategory{"live_relevance", BfclRule::some_call, true},
    BfclCategory{"multi_turn_base", BfclRule::in_turns},
    BfclCategory{"multi_turn_miss_func", BfclRule::in_turns},
    BfclCategory{"multi_turn_miss_param", BfclRule::in_turns},
    BfclCategory{"multi_turn_long_context", BfclRule::in_turns},
};

bool has_answers(BfclRule rule) { return rule != BfclRule::no_call && rule != BfclRule::some_call; }

Result<std::vector<Message>> read_messages(const Json& question, const std::string& where) {
  if (question.size() != 1 || !question.as_array()[0].is_array())
    return fail(Errc::malformed, "{}: \"question\": {} turns, expected one", where, question.size());
  Json request = Json::object();
  request["messages"] = question.as_array()[0];
  auto conversation = Conversation::from_json(request);
  if (!conversation) return with_context(conversation.error(), where);
  return std::move(conversation->messages);
}

Result<BfclItem> read_item(const Json& line, BfclLanguage language, const std::string& where) {
  BfclItem item;
  item.language = language;
  QUERN_ASSIGN(const Json* id, bfcl_member(line, "id", Json::Kind::string, where));
  QUERN_ASSIGN(const Json* question, bfcl_member(line, "question", Json::Kind::array, where));
  QUERN_ASSIGN(const Json* functions, bfcl_member(line, "function", Json::Kind::array, where));
  item.id = id->as_string();
  QUERN_ASSIGN(item.messages, read_messages(*question, where));
  for (const Json& function : functions->as_array()) {
    QUERN_TRY(check_bfcl_function(function, where));
    item.functions.push_back(function);
    item.tools.push_back(bfcl_tool(function, language));
  }
  return item;
}

Result<void> check_answer(const Json& answer, const std::string& where) {
  if (!answer.is_object() || answer.size() != 1 || !answer.as_object()[0].second.is_object())
    return fail(Errc::malformed, "{}: \"ground_truth\": expected {{\"name\": {{parameters}}}}", where);
  for (const auto& [name, values] : answer.as_object()[0].second.as_object())
    if (!values.is_array())
      return fail(Errc::malformed, "{}: \"{}\": {}, expected a list of values", where, name, values.kind_name());
  return {};
}

Json schema_of(const Json& doc, int depth);

Json properties_of(const Json& properties, int depth) {
  Json out = Json::object();
  for (const auto& [name, property] : properties.as_object()) out[name] = schema_of(property, depth + 1);
  return out;
}

Json schema_of(const Json& doc, int depth) {
  Json out = Json::object();
  if (!doc.is_object() || depth > kMaxSchemaDepth) return out;
  const Json* type = doc.find("type");
  const std::string_view named = type && type->is_string() ? std::string_view(type->as_string()) : std::string_view();
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {"string", "string"},   {"integer", "integer"}, {"float", "number"},  {"number", "number"},
      {"boolean", "boolean"}, {"bool", "boolean"},    {"array", "array"},   {"list", "array"},
      {"tuple", "array"},     {"dict", "object"},     {"object", "object"},
  };
  for (const auto& [theirs, ours] : kTypes)
    if (named == theirs) out["type"] = ours;
  for (const std::string_view kept : {"description", "enum", "default", "minimum", "maximum", "minItems", "maxItems"})
    if (const Json* value = doc.find(kept)) out[kept] = *value;
  if (const Json* properties = doc.find("properties"); properties && properties->is_object()) {
    out["properties"] = properties_of(*properties, depth);
    Json required = Json::array();
    if (const Json* names = doc.find("required"); names && names->is_array())
      for (const Json& name : names->as_array())  // of those there are: a name without a parameter could not be given
        if (name.is_string() && properties->find(name.as_string())) required.push_back(name);
    out["required"] = std::move(required);
    if (properties->size() > 0 || depth == 0) out["additionalProperties"] = false;
  }
  if (const Json* items = doc.find("items"); items && items->is_object()) out["items"] = schema_of(*items, depth + 1);
  return out;
}

std::string_view language_name(BfclLanguage language) {
  return language == BfclLanguage::java ? "Java 8" : language == BfclLanguage::javascript ? "JavaScript" : "Python";
}

std::string text_member(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value && value->is_string() ? value->as_string() : std::string();
}

// What a parameter of another language than Python is, in words, since its value is a string whatever its type.
std::string source_description(const Json& doc, BfclLanguage language) {
  const std::string type = text_member(doc, "type");
  std::string text = text_member(doc, "description");
  text += type.empty() || type == "any" ? fmt::format(" The source text of any {} expression.", language_name(language))
                                        : fmt::format(" The source text of a {} {}.", language_name(language), type);
  if (const Json* items = doc.find("items"); items && items->is_object())
    text += fmt::format(" Its elements are {}.", text_member(*items, "type"));
  if (const Json* properties = doc.find("properties"); properties && properties->is_object())
    text += fmt::format(" Its entries: {}", properties->dump());
  return text;
}

Json source_schema(const Json& parameters, BfclLanguage language) {
  Json plain = parameters;
  for (auto& [name, doc] : plain["properties"].as_object()) {
    Json text = Json::object();
    text["type"] = "string";
    text["description"] = source_description(doc, language);
    doc = std::move(text);
  }
  return schema_of(plain, 0);
}

}  // namespace

std::span<const BfclCategory> bfcl_categories() { return kCategories; }

Result<BfclCategory> find_bfcl_category(std::string_view name) {
  for (const BfclCategory& category : kCategories)
    if (category.name == name) return category;
  if (name.starts_with("memory") || name.starts_with("web_search") || name == "format_sensitivity")
    return fail(Errc::invalid_argument, "category {}: needs services that quern does not have", name);
  return fail(Errc::invalid_argument, "category {}: not one of BFCL's", name);
}

Json bfcl_tool(const Json& function, BfclLanguage language) {
  Json inner = Json::object(), tool = Json::object();
  inner["name"] = *function.find("name");
  const Json* description = function.find("description");
  if (language == BfclLanguage::python) {
    if (description) inner["description"] = *description;
    inner["parameters"] = schema_of(*function.find("parameters"), 0);
  } else {
    inner["description"] =
        text_member(function, "description") + " It is a function of " + std::string(language_name(language)) + ".";
    inner["parameters"] = source_schema(*function.find("parameters"), language);
  }
  tool["type"] = "function";
  tool["function"] = std::move(inner);
  return tool;
}

Result<std::vector<BfclItem>> load_bfcl(const fs::path& folder, const BfclCategory& category) {
  if (category.rule == BfclRule::in_turns)
    return fail(Errc::invalid_argument, "category {}: its items have several turns", category.name);
  const std::string file = fmt::format("BFCL_v4_{}.json", category.name);
  std::vector<BfclItem> items;
  std::unordered_map<std::string, size_t> by_id;
  QUERN_TRY(each_bfcl_line(folder / file, [&](const Json& line, const std::string& where) -> Result<void> {
    QUERN_ASSIGN(BfclItem item, read_item(line, category.language, where));
    if (item.functions.empty() && category.rule != BfclRule::no_call) return fail(Errc::malformed, "{}: no function", where);
    if (!by_id.emplace(item.id, items.size()).second) return fail(Errc::malformed, "{}: id {} is there twice", where, item.id);
    items.push_back(std::move(item));
    return {};
  }));
  if (!has_answers(category.rule)) return items;
  const auto take_answer = [&](const Json& line, const std::string& where) -> Result<void> {
    QUERN_ASSIGN(const Json* id, bfcl_member(line, "id", Json::Kind::string, where));
    QUERN_ASSIGN(const Json* truth, bfcl_member(line, "ground_truth", Json::Kind::array, where));
    const auto item = by_id.find(id->as_string());
    if (item == by_id.end()) return {};
    for (const Json& answer : truth->as_array()) QUERN_TRY(check_answer(answer, where));
    items[item->second].answers = truth->as_array();
    return {};
  };
  QUERN_TRY(each_bfcl_line(folder / "possible_answer" / file, take_answer));
  for (const BfclItem& item : items)
    if (item.answers.empty())
      return fail(Errc::malformed, "{}: no answer for id {}", (folder / "possible_answer" / file).string(), item.id);
  return items;
}

Result<std::unordered_map<std::string, BfclResult>> load_bfcl_results(const fs::path& file) {
  std::unordered_map<std::string, BfclResult> results;
  QUERN_TRY(each_bfcl_line(file, [&](const Json& line, const std::string& where) -> Result<void> {
    QUERN_ASSIGN(const Json* id, bfcl_member(line, "id", Json::Kind::string, where));
    BfclResult& result = results[id->as_string()];
    result = {};
    const Json* calls = line.find("result");
    if (!calls || !calls->is_array()) return {};
    for (const Json& call : calls->as_array()) {
      if (!call.is_object() || call.size() != 1 || !call.as_object()[0].second.is_object()) return {};
      result.calls.push_back({call.as_object()[0].first, call.as_object()[0].second});
    }
    result.readable = true;
    return {};
  }));
  return results;
}

}  // namespace quern
