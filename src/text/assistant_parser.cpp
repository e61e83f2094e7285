#include "text/assistant_parser.h"

#include <algorithm>

#include "text/trim.h"
#include "text/xml_calls.h"

namespace quern {
namespace {

constexpr std::string_view kOpen = "<tool_call>", kClose = "</tool_call>", kThinkEnd = "</think>";

// The length of the first complete JSON object in text, which starts with '{': braces counted outside strings. npos: it never closes.
size_t object_length(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"')
      in_string = true;
    else if (c == '{')
      ++depth;
    else if (c == '}' && --depth == 0)
      return i + 1;
  }
  return std::string_view::npos;
}

ParsedCall parse_call(std::string_view inside, ChatFormat format, const std::vector<Json>& tools) {
  ParsedCall parsed;
  parsed.text = inside;
  const std::string_view body = trim(inside);
  const auto wrong = [&](std::string why) {
    parsed.error = std::move(why);
    return parsed;
  };
  if (format == ChatFormat::coder) {
    auto call = parse_xml_call(body, tools);
    if (!call) return wrong(call.error().message);
    parsed.call = std::move(*call);
    return parsed;
  }
  if (!body.starts_with('{')) return wrong("expected a JSON object {\"name\": …, \"arguments\": {…}}");
  const size_t length = object_length(body);
  if (length == std::string_view::npos) return wrong("the JSON object is not closed");
  auto json = Json::parse(body.substr(0, length), "tool call");
  if (!json) return wrong(json.error().message);
  const Json* name = json->find("name");
  if (!name || !name->is_string()) return wrong("name: expected a string");
  parsed.call.name = name->as_string();
  if (parsed.call.name.empty()) return wrong("name: missing");
  const Json* arguments = json->find("arguments");
  if (!arguments) return wrong("arguments: missing");
  parsed.call.arguments = *arguments;
  if (arguments->is_string()) {  // some models write the object as a string; that object is what they mean
    auto inner = Json::parse(arguments->as_string(), "arguments");
    if (inner && inner->is_object()) parsed.call.arguments = std::move(*inner);
  }
  if (!parsed.call.arguments.is_object())
    return wrong(fmt::format("arguments: expected an object, found {}", arguments->kind_name()));
  return parsed;
}

// Where the call that opens at `begin` (behind its tag) closes: at its own closer, which may also stand inside a string.
size_t find_close(std::string_view text, size_t begin, ChatFormat format) {
  if (format == ChatFormat::coder) {
    const size_t end = xml_call_end(text.substr(begin));
    return end == std::string_view::npos ? end : begin + end;
  }
  const size_t brace = text.find_first_not_of(" \t\r\n", begin);
  if (brace != std::string_view::npos && text[brace] == '{')
    if (const size_t length = object_length(text.substr(brace)); length != std::string_view::npos)
      return text.find(kClose, brace + length);
  return text.find(kClose, begin);
}

bool looks_like_call(std::string_view line, const std::vector<Json>& tools) {
  line = trim(line);
  if (line.starts_with("<function=")) return true;
  constexpr std::string_view kStart = "{\"name\": \"";
  if (!line.starts_with(kStart)) return false;
  const std::string_view rest = line.substr(kStart.size());
  return find_tool(tools, rest.substr(0, rest.find('"'))) != nullptr;
}

}  // namespace

AssistantTurn parse_assistant(std::string_view text, ChatFormat format, const std::vector<Json>& tools) {
  AssistantTurn turn;
  // Where nobody was asked to think, reasoning may still come first, but a tag inside a call is part of it.
  const size_t think_end = text.find(kThinkEnd);
  if (think_end != std::string_view::npos && (format == ChatFormat::thinking || think_end < text.find(kOpen))) {
    std::string_view reasoning = text.substr(0, think_end);
    if (const size_t open = reasoning.find("<think>"); open != std::string_view::npos) reasoning.remove_prefix(open + 7);
    turn.reasoning = trim(reasoning);
    text.remove_prefix(think_end + kThinkEnd.size());
  } else if (format == ChatFormat::thinking) {  // cut off while thinking: nothing was said yet
    turn.reasoning = trim(text);
    return turn;
  }
  std::string content;
  while (true) {
    const size_t open = text.find(kOpen);
    content += text.substr(0, open);
    if (open == std::string_view::npos) break;
    const size_t begin = open + kOpen.size(), close = find_close(text, begin, format);
    if (close == std::string_view::npos) {
      ParsedCall cut = parse_call(text.substr(begin), format, tools);
      cut.error = "the call has no </tool_call>";  // never executed: it may be half of what was meant
      turn.calls.push_back(std::move(cut));
      break;
    }
    turn.calls.push_back(parse_call(text.substr(begin, close - begin), format, tools));
    text.remove_prefix(close + kClose.size());
  }
  for (size_t at; (at = content.find(kClose)) != std::string::npos;) content.erase(at, kClose.size());  // orphans
  for (size_t begin = 0; begin <= content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    turn.missing_opener = turn.missing_opener || looks_like_call(std::string_view(content).substr(begin, end - begin), tools);
    begin = end + 1;
  }
  turn.content = turn.calls.empty() && turn.reasoning.empty() ? content : std::string(trim(content));
  return turn;
}

namespace {

// Whether a JSON number is an integer in value, however large and however spelled: 3, 3.0, 12e30, 0.5e1.
bool is_integer(std::string_view number) {
  const size_t e = number.find_first_of("eE");
  const std::string_view mantissa = number.substr(0, e);
  const size_t last = mantissa.find_last_of("123456789"), dot = mantissa.find('.');
  if (last == std::string_view::npos) return true;  // zero
  // The power of ten of the last digit that counts.
  auto power = static_cast<int64_t>(std::min(dot, mantissa.size())) - static_cast<int64_t>(last) - (last < dot ? 1 : 0);
  if (e != std::string_view::npos) {
    const bool negative = number[e + 1] == '-';
    int64_t exponent = 0;
    for (const char c : number.substr(e + 1))
      if (c >= '0' && c <= '9') exponent = std::min<int64_t>(exponent * 10 + (c - '0'), int64_t{1} << 50);
    power += negative ? -exponent : exponent;
  }
  return power >= 0;
}

bool has_type(const Json& value, std::string_view type) {
  if (type == "integer") return value.is_number() && is_integer(value.number_text());
  return value.kind_name() == type;
}

Result<void> check_value(const Json& schema, const Json& value, const std::string& path);

Result<void> check_type(const Json& type, const Json& value, const std::string& path) {
  if (type.is_string() && has_type(value, type.as_string())) return {};
  if (type.is_array())
    for (const Json& one : type.as_array())
      if (one.is_string() && has_type(value, one.as_string())) return {};
  return fail(Errc::mismatch, "{}: expected {}, found {}", path, type.is_string() ? type.as_string() : type.dump(),
              value.kind_name());
}

Result<void> check_object(const Json& schema, const Json& value, const std::string& path) {
  const Json* properties = schema.find("properties");
  if (const Json* required = schema.find("required"); required && required->is_array())
    for (const Json& name : required->as_array())
      if (name.is_string() && !value.find(name.as_string()))
        return fail(Errc::mismatch, "{}: {} is missing", path, name.as_string());
  const Json* additional = schema.find("additionalProperties");
  for (const auto& [name, member] : value.as_object()) {
    const Json* known = properties ? properties->find(name) : nullptr;
    if (known)
      QUERN_TRY(check_value(*known, member, path + "." + name));
    else if (additional && *additional == Json(false))
      return fail(Errc::mismatch, "{}: {} is not a parameter", path, name);
    else if (additional && additional->is_object())
      QUERN_TRY(check_value(*additional, member, path + "." + name));
  }
  return {};
}

Result<void> check_number(const Json& schema, const Json& value, const std::string& path) {
  const auto bound = [&](std::string_view key) {
    return schema.find(key) && schema.find(key)->is_number() ? schema.find(key) : nullptr;
  };
  if (const Json* low = bound("minimum"); low && value.as_double() < low->as_double())
    return fail(Errc::mismatch, "{}: {} is below {}", path, value.number_text(), low->number_text());
  if (const Json* high = bound("maximum"); high && value.as_double() > high->as_double())
    return fail(Errc::mismatch, "{}: {} is above {}", path, value.number_text(), high->number_text());
  return {};
}

Result<void> check_value(const Json& schema, const Json& value, const std::string& path) {
  if (!schema.is_object()) return {};
  if (const Json* type = schema.find("type")) QUERN_TRY(check_type(*type, value, path));
  if (const Json* allowed = schema.find("enum"); allowed && allowed->is_array())
    if (std::find(allowed->as_array().begin(), allowed->as_array().end(), value) == allowed->as_array().end())
      return fail(Errc::mismatch, "{}: {} is not one of {}", path, value.dump().substr(0, 80), allowed->dump());
  if (value.is_number()) return check_number(schema, value, path);
  if (value.is_object()) return check_object(schema, value, path);
  if (const Json* items = schema.find("items"); items && value.is_array())
    for (size_t i = 0; i < value.size(); ++i) QUERN_TRY(check_value(*items, value.as_array()[i], fmt::format("{}[{}]", path, i)));
  return {};
}

}  // namespace

Result<void> check_arguments(const Json& tool, const Json& arguments) {
  const Json* parameters = tool_function(tool).find("parameters");
  if (!arguments.is_object()) return fail(Errc::mismatch, "arguments: expected an object, found {}", arguments.kind_name());
  return parameters ? check_value(*parameters, arguments, "arguments") : Result<void>{};
}

}  // namespace quern
