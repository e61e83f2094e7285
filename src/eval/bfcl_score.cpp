#include "eval/bfcl_score.h"

#include <algorithm>
#include <optional>
#include <span>

namespace quern {
namespace {

// Values as Python has them after reading JSON; the checker compares its types.
enum class Type { none, boolean, integer, real, string, list, dict };

Type type_of(const Json& value) {
  switch (value.kind()) {
    case Json::Kind::null:
      return Type::none;
    case Json::Kind::boolean:
      return Type::boolean;
    case Json::Kind::number:
      return value.number_text().find_first_of(".eE") == std::string::npos ? Type::integer : Type::real;
    case Json::Kind::string:
      return Type::string;
    case Json::Kind::array:
      return Type::list;
    case Json::Kind::object:
      break;
  }
  return Type::dict;
}

using Types = std::span<const std::pair<std::string_view, Type>>;

Types types_of(BfclLanguage language) {
  static constexpr std::pair<std::string_view, Type> kPython[] = {
      {"string", Type::string}, {"any", Type::string},      {"integer", Type::integer}, {"float", Type::real},
      {"number", Type::real},   {"boolean", Type::boolean}, {"bool", Type::boolean},    {"array", Type::list},
      {"list", Type::list},     {"tuple", Type::list},      {"dict", Type::dict},       {"object", Type::dict},
  };
  static constexpr std::pair<std::string_view, Type> kJava[] = {
      {"byte", Type::integer},  {"short", Type::integer}, {"integer", Type::integer}, {"long", Type::integer},
      {"float", Type::real},    {"double", Type::real},   {"boolean", Type::boolean}, {"char", Type::string},
      {"String", Type::string}, {"any", Type::string},    {"Array", Type::list},      {"ArrayList", Type::list},
      {"Queue", Type::list},    {"Stack", Type::list},    {"HashMap", Type::dict},    {"Hashtable", Type::dict},
  };
  static constexpr std::pair<std::string_view, Type> kJavaScript[] = {
      {"String", Type::string}, {"any", Type::string},      {"integer", Type::integer}, {"Bigint", Type::integer},
      {"float", Type::real},    {"Boolean", Type::boolean}, {"dict", Type::dict},       {"array", Type::list},
  };
  return language == BfclLanguage::java ? Types(kJava) : language == BfclLanguage::javascript ? Types(kJavaScript) : Types(kPython);
}

std::string_view type_name(const Json* doc) {
  const Json* type = doc && doc->is_object() ? doc->find("type") : nullptr;
  return type && type->is_string() ? std::string_view(type->as_string()) : std::string_view();
}

// What a doc's type stands for; the checker takes `any` for a string.
std::optional<Type> documented_type(const Json* doc, BfclLanguage language) {
  for (const auto& [name, meant] : types_of(language))
    if (type_name(doc) == name) return meant;
  return std::nullopt;
}

bool is_left_out(const Json& value) { return value.is_string() && value.as_string().empty(); }
bool may_be_left_out(const Json& values) { return std::any_of(values.as_array().begin(), values.as_array().end(), is_left_out); }

// Python's ==, for which True is 1.
bool same(const Json& a, const Json& b) {
  if (a.is_bool() != b.is_bool() && (a.is_number() || b.is_number())) {
    const Json& number = a.is_number() ? a : b;
    return number.as_double() == ((a.is_bool() ? a : b).as_bool() ? 1 : 0);
  }
  if (a.is_array() && b.is_array())
    return std::equal(a.as_array().begin(), a.as_array().end(), b.as_array().begin(), b.as_array().end(), same);
  if (a.is_object() && b.is_object())
    return a.size() == b.size() && std::all_of(a.as_object().begin(), a.as_object().end(), [&](const Json::Member& m) {
             const Json* other = b.find(m.first);
             return other && same(m.second, *other);
           });
  return a == b;
}

Json plain(const Json& value) {
  if (!value.is_string()) return value;
  std::string out;
  for (const char c : value.as_string()) {
    if (std::string_view(" ,./-_*^").find(c) != std::string_view::npos) continue;
    out += c == '\'' ? '"' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  return out;
}
Json plain_items(const Json& list) {
  Json out = Json::array();
  if (list.is_array())
    for (const Json& item : list.as_array()) out.push_back(plain(item));
  return out;
}

std::string shown(const Json& value) {
  std::string text = value.dump();
  if (text.size() > 200) text = text.substr(0, 200) + "…";
  return text;
}

BfclVerdict right() { return {.right = true, .kind = {}, .error = {}}; }
BfclVerdict wrong(std::string kind, std::string error) { return {false, std::move(kind), std::move(error)}; }

BfclVerdict wrong_value(const std::string& name, const Json& value, const Json& allowed) {
  return wrong("value", fmt::format("{}: {}, expected one of {}", name, shown(value), shown(allowed)));
}

std::optional<Type> answer_type(const Json& allowed) {
  for (const Json& value : allowed.as_array())
    if (!is_left_out(value)) return type_of(value);
  return std::nullopt;
}

struct TypeCheck {
  bool fits = false;
  bool as_variable = false;  // by the answer's type alone: compared exactly
};

TypeCheck check_type(const Json& value, const Json& allowed, Type expected, std::optional<Type> nested) {
  const std::optional<Type> answered = answer_type(allowed);
  if (type_of(value) == expected) {
    const TypeCheck fits{true, answered && *answered != expected};
    if (!nested) return fits;
    for (const Json& one : allowed.as_array()) {
      const bool all = !one.is_array() || std::all_of(value.as_array().begin(), value.as_array().end(), [&](const Json& item) {
        return check_type(item, one, *nested, std::nullopt).fits;
      });
      if (all) return fits;
    }
  }
  return {answered && type_of(value) == *answered, true};
}

bool among(const Json& value, const Json& allowed) {
  return std::any_of(allowed.as_array().begin(), allowed.as_array().end(), [&](const Json& one) { return same(value, one); });
}

// One way in which a dict may look: {"key": [allowed values]}.
bool dict_fits(const Json& value, const Json& allowed) {
  if (!value.is_object() || !allowed.is_object()) return false;
  for (const auto& [key, item] : value.as_object()) {
    const Json* values = allowed.find(key);
    if (!values || !values->is_array() || !among(plain(item), plain_items(*values))) return false;
  }
  return std::all_of(allowed.as_object().begin(), allowed.as_object().end(), [&](const Json::Member& m) {
    return value.find(m.first) || (m.second.is_array() && may_be_left_out(m.second));
  });
}

bool value_fits(const Json& value, const Json& allowed, Type expected, std::optional<Type> nested) {
  const auto any = [&](const auto& fits) { return std::any_of(allowed.as_array().begin(), allowed.as_array().end(), fits); };
  if (expected == Type::dict) return any([&](const Json& one) { return dict_fits(value, one); });
  if (expected == Type::list && nested == Type::dict)
    return any([&](const Json& one) {
      return one.is_array() &&
             std::equal(value.as_array().begin(), value.as_array().end(), one.as_array().begin(), one.as_array().end(), dict_fits);
    });
  if (expected == Type::list) return any([&](const Json& one) { return same(plain_items(value), plain_items(one)); });
  if (expected == Type::string) return any([&](const Json& one) { return one.is_string() && same(plain(value), plain(one)); });
  return among(value, allowed);
}

BfclVerdict check_value(const std::string& name, Json value, const Json& doc, const Json& allowed, BfclLanguage language) {
  const bool is_source = language != BfclLanguage::python;
  if (is_source && !value.is_string())
    return wrong("type", fmt::format("{}: {}, expected the source text of a value", name, shown(value)));
  if (is_source) value = bfcl_source_value(language, std::string(value.as_string()), type_name(&doc), type_name(doc.find("items")));
  const std::optional<Type> expected = documented_type(&doc, language);
  if (!expected) return among(value, allowed) ? right() : wrong_value(name, value, allowed);
  std::optional<Type> nested;
  if (*expected == Type::list) nested = documented_type(doc.find("items"), language);
  if (!is_source && *expected == Type::real && type_of(value) == Type::integer)
    value = Json::number_literal(value.number_text() + ".0");
  const TypeCheck type = check_type(value, allowed, *expected, nested);
  if (!type.fits) return wrong("type", fmt::format("{}: {}, expected a {}", name, shown(value), doc.find("type")->as_string()));
  const bool fits = type.as_variable ? among(value, allowed) : value_fits(value, allowed, *expected, nested);
  return fits ? right() : wrong_value(name, value, allowed);
}

BfclVerdict check_call(const ToolCall& call, const Json& function, const Json& answer, BfclLanguage language) {
  const std::string& name = function.find("name")->as_string();
  if (call.name != name) return wrong("wrong_function", fmt::format("{}, expected {}", call.name, name));
  const Json& allowed = answer.as_object()[0].second;
  const Json& parameters = *function.find("parameters");
  const Json& properties = *parameters.find("properties");
  if (const Json* required = parameters.find("required"); required && required->is_array())
    for (const Json& one : required->as_array())
      if (one.is_string() && !call.arguments.find(one.as_string()))
        return wrong("missing_parameter", fmt::format("{}: required, but not given", one.as_string()));
  for (const auto& [parameter, value] : call.arguments.as_object()) {
    const Json *doc = properties.find(parameter), *values = allowed.find(parameter);
    if (!doc || !values) return wrong("unexpected_parameter", fmt::format("{}: not expected", parameter));
    if (BfclVerdict verdict = check_value(parameter, value, *doc, *values, language); !verdict.right) return verdict;
  }
  for (const auto& [parameter, values] : allowed.as_object())
    if (!call.arguments.find(parameter) && !may_be_left_out(values))
      return wrong("missing_parameter", fmt::format("{}: may not be left out here", parameter));
  return right();
}

const Json* function_of(const BfclItem& item, const Json& answer) {
  const std::string& name = answer.as_object()[0].first;
  for (const Json& function : item.functions)
    if (function.find("name")->as_string() == name) return &function;
  return nullptr;
}

// Each answer takes the first call left that fits it.
BfclVerdict check_unordered(const BfclItem& item, const std::vector<ToolCall>& calls) {
  std::vector<bool> taken(calls.size());
  for (const Json& answer : item.answers) {
    const Json* function = function_of(item, answer);
    if (!function) return wrong("data", "the answer's function is not among the item's");
    BfclVerdict last = wrong("wrong_function", "no call left");
    bool found = false;
    for (size_t i = 0; i < calls.size() && !found; ++i) {
      if (taken[i]) continue;
      BfclVerdict verdict = check_call(calls[i], *function, answer, item.language);
      found = taken[i] = verdict.right;
      if (!found && (calls[i].name == answer.as_object()[0].first || last.error == "no call left")) last = std::move(verdict);
    }
    if (!found) return wrong(last.kind, fmt::format("no call fits {}: {}", shown(answer), last.error));
  }
  return right();
}

}  // namespace

BfclVerdict score_bfcl(const BfclItem& item, BfclRule rule, const std::vector<ToolCall>& calls) {
  if (rule == BfclRule::no_call) return calls.empty() ? right() : wrong("called", fmt::format("{} was called", calls[0].name));
  if (rule == BfclRule::some_call) return calls.empty() ? wrong("not_called", "nothing was called") : right();
  const size_t expected = rule == BfclRule::one_call ? 1 : item.answers.size();
  if (calls.size() != expected || item.answers.empty())
    return wrong("wrong_count", fmt::format("{} calls, expected {}", calls.size(), expected));
  if (rule == BfclRule::in_parallel) return check_unordered(item, calls);
  const Json* function = rule == BfclRule::one_call ? &item.functions[0] : function_of(item, item.answers[0]);
  if (!function) return wrong("data", "the answer's function is not among the item's");
  return check_call(calls[0], *function, item.answers[0], item.language);
}

}  // namespace quern
