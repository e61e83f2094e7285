#include "text/xml_calls.h"

#include <algorithm>

#include "text/trim.h"

namespace quern {
namespace {

constexpr std::string_view kFunction = "<function=", kFunctionEnd = "</function>",
                           kParameter = "<parameter=", kParameterEnd = "</parameter>", kClose = "</tool_call>";

std::string raw(const Json& value) { return value.is_string() ? value.as_string() : value.dump(); }

std::string element(std::string_view name, std::string_view text) { return fmt::format("\n<{0}>{1}</{0}>", name, text); }

std::string other_members(const Json& object, std::initializer_list<std::string_view> known) {
  std::string text;
  if (!object.is_object()) return text;
  for (const auto& [key, value] : object.as_object())
    if (std::find(known.begin(), known.end(), key) == known.end()) text += element(key, raw(value));
  return text;
}

std::string described(const Json& object) {
  const Json* description = object.find("description");
  return description ? element("description", trim(raw(*description))) : "";
}

std::string parameter(std::string_view name, const Json& schema) {
  std::string text = "\n<parameter>" + element("name", name);
  if (const Json* type = schema.find("type")) text += element("type", raw(*type));
  return text + described(schema) + other_members(schema, {"name", "type", "description"}) + "\n</parameter>";
}

const Json* properties_of(const Json& function) {
  const Json* parameters = function.find("parameters");
  const Json* properties = parameters ? parameters->find("properties") : nullptr;
  return properties && properties->is_object() ? properties : nullptr;
}

// ---- reading ---------------------------------------------------------------------------------------------------------------------

// One value and what follows its </parameter>. A value ends at the first closer behind which a tag of the call stands; so that it may hold
// the closer itself, in code about such calls. Without any closer it ends at the next such tag that begins a line.
struct Value {
  std::string_view text, rest;
};

bool tag_follows(std::string_view text) {
  text = skip_spaces(text);
  return text.empty() || text.starts_with(kParameter) || text.starts_with(kFunctionEnd) || text.starts_with(kClose);
}

Value read_value(std::string_view text) {
  if (text.starts_with('\n')) text.remove_prefix(1);
  const auto value = [&](size_t length, size_t rest) {
    std::string_view found = text.substr(0, length);
    if (found.ends_with('\n')) found.remove_suffix(1);
    return Value{found, text.substr(rest)};
  };
  for (size_t at = text.find(kParameterEnd); at != std::string_view::npos; at = text.find(kParameterEnd, at + 1))
    if (tag_follows(text.substr(at + kParameterEnd.size()))) return value(at, at + kParameterEnd.size());
  for (size_t at = text.find('\n'); at != std::string_view::npos;) {
    if (at + 1 < text.size() && tag_follows(text.substr(at + 1))) return value(at, at + 1);
    at = text.find('\n',
                   text.find_first_not_of(kTextSpaces, at));  // what does not follow this white space follows none of its lines
  }
  return value(text.size(), text.size());
}

// Calls on_parameter(name, text) for each parameter that text begins with, and returns the rest. A <parameter= without its '>' is rest.
template <class F>
std::string_view read_parameters(std::string_view text, const F& on_parameter) {
  for (text = skip_spaces(text); text.starts_with(kParameter); text = skip_spaces(text)) {
    const size_t named = text.find('>');
    if (named == std::string_view::npos) break;
    const Value value = read_value(text.substr(named + 1));
    on_parameter(text.substr(kParameter.size(), named - kParameter.size()), value.text);
    text = value.rest;
  }
  return text;
}

// The kinds of values a schema admits, as far as `type`, `enum`, `const` and alternatives tell; everything where they do not.
struct Kinds {
  bool string = false, other = false;
};

Kinds admitted(const Json& schema, int depth = 0) {
  constexpr Kinds kAll{true, true};
  if (!schema.is_object() || depth > 8) return kAll;
  Kinds kinds;
  const auto add = [&](bool is_string) { (is_string ? kinds.string : kinds.other) = true; };
  if (const Json* type = schema.find("type")) {
    if (type->is_string()) add(type->as_string() == "string");
    if (type->is_array())
      for (const Json& one : type->as_array()) add(one == Json("string"));
    return kinds;
  }
  if (const Json* only = schema.find("const")) return add(only->is_string()), kinds;
  if (const Json* values = schema.find("enum"); values && values->is_array()) {
    for (const Json& one : values->as_array()) add(one.is_string());
    return kinds;
  }
  for (const std::string_view key : {"anyOf", "oneOf"})
    if (const Json* options = schema.find(key); options && options->is_array()) {
      for (const Json& one : options->as_array()) {
        const Kinds of_one = admitted(one, depth + 1);
        kinds.string |= of_one.string, kinds.other |= of_one.other;
      }
      return kinds;
    }
  return kAll;
}

bool admits_type(const Json* schema, const Json& value) {
  const Json* type = schema ? schema->find("type") : nullptr;
  if (!type) return true;
  const auto same = [&](const Json& name) {
    return name.is_string() && (name.as_string() == value.kind_name() || (name.as_string() == "integer" && value.is_number()));
  };
  return type->is_array() ? std::any_of(type->as_array().begin(), type->as_array().end(), same) : same(*type);
}

Json typed(std::string_view text, const Json* schema) {
  const Kinds kinds = schema ? admitted(*schema) : Kinds{true, true};
  if (!kinds.other) return std::string(text);
  if (auto json = Json::parse(text, "parameter"); json && !json->is_string() && (!kinds.string || admits_type(schema, *json)))
    return std::move(*json);
  return std::string(text);
}

}  // namespace

std::string xml_tool(const Json& tool) {
  const Json& function = tool_function(tool);
  std::string text = "<function>";
  if (!function.is_object()) return text + "\n</function>";
  if (const Json* name = function.find("name")) text += element("name", raw(*name));
  text += described(function) + "\n<parameters>";
  if (const Json* properties = properties_of(function))
    for (const auto& [name, schema] : properties->as_object()) text += parameter(name, schema);
  if (const Json* parameters = function.find("parameters")) text += other_members(*parameters, {"type", "properties"});
  return text + "\n</parameters>" + other_members(function, {"type", "name", "description", "parameters"}) + "\n</function>";
}

std::string xml_call(const ToolCall& call) {
  std::string text = fmt::format("<function={}>\n", call.name);
  const auto add = [&](std::string_view name, std::string_view value) {
    text += fmt::format("<parameter={}>\n{}\n</parameter>\n", name, value);
  };
  Json arguments = call.arguments;
  if (arguments.is_string())
    if (auto json = Json::parse(arguments.as_string(), "arguments"); json && json->is_object()) arguments = std::move(*json);
  if (arguments.is_object())
    for (const auto& [name, value] : arguments.as_object()) add(name, raw(value));
  else
    add("arguments", raw(arguments));
  return text + "</function>";
}

size_t xml_call_end(std::string_view text) {
  const size_t opened = text.find('>', std::min(text.find(kFunction), text.size()));
  if (opened == std::string_view::npos) return text.find(kClose);
  const std::string_view rest = read_parameters(text.substr(opened + 1), [](std::string_view, std::string_view) {});
  return rest.empty() ? text.find(kClose) : text.find(kClose, text.size() - rest.size());
}

Result<ToolCall> parse_xml_call(std::string_view inside, const std::vector<Json>& tools) {
  std::string_view text = trim(inside);
  if (!text.starts_with(kFunction)) return fail(Errc::malformed, "expected <function=NAME>");
  text.remove_prefix(kFunction.size());
  ToolCall call{std::string(text.substr(0, text.find_first_of("> \t\r\n<"))), Json::object()};
  if (call.name.empty()) return fail(Errc::malformed, "<function=: the name is missing");
  const size_t opened = text.find('>');
  if (opened == std::string_view::npos) return fail(Errc::malformed, "<function={} is not closed", call.name);
  const Json* tool = find_tool(tools, call.name);
  const Json* properties = tool ? properties_of(tool_function(*tool)) : nullptr;
  text = read_parameters(text.substr(opened + 1), [&](std::string_view name, std::string_view value) {
    call.arguments[name] = typed(value, properties ? properties->find(name) : nullptr);
  });
  if (text.starts_with(kParameter)) return fail(Errc::malformed, "{}: a <parameter= is not closed", call.name);
  if (!text.empty() && !text.starts_with(kFunctionEnd))
    return fail(Errc::malformed, "{}: expected <parameter= or </function>, found \"{}\"", call.name, text.substr(0, 40));
  return call;
}

}  // namespace quern
