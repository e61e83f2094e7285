#include "server/openai/request.h"

#include "server/shape.h"

namespace quern {

SamplingParams OpenAiSampling::over(const SamplingParams& defaults) const {
  SamplingParams params = fields.over(defaults);
  params.logit_bias = logit_bias;
  if (params.top_p <= 0) params.temperature = 0;  // of the likeliest tokens only the first
  return params;
}

Result<OpenAiSampling> read_sampling(const Json& body) {
  OpenAiSampling sampling;
  sampling.fields = SamplingFields::read(body);
  const Json* biases = member_of(body, "logit_bias");
  if (!biases) return sampling;
  for (const auto& [token, bias] : biases->as_object()) {
    const bool digits = !token.empty() && token.size() <= 9 && token.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) return fail(Errc::invalid_argument, "logit_bias: {}: expected a token's id", token.substr(0, 60));
    sampling.logit_bias.emplace_back(static_cast<int32_t>(std::stol(token)), static_cast<float>(bias.as_double()));
  }
  return sampling;
}

std::vector<std::string> read_stop(const Json& body) {
  std::vector<std::string> stops;
  const Json* stop = member_of(body, "stop");
  const auto add = [&](const std::string& text) {
    if (!text.empty()) stops.push_back(text);
  };
  if (stop && stop->is_string()) add(stop->as_string());
  if (stop && stop->is_array())
    for (const Json& one : stop->as_array()) add(one.as_string());
  return stops;
}

std::optional<int64_t> reasoning_budget(const std::optional<std::string>& effort, const Json& body) {
  if (boolean_of(body, "enable_thinking") == false) return 0;
  if (const auto budget = integer_of(body, "thinking_budget")) return budget;
  if (effort == "none") return 0;
  if (effort == "minimal") return 512;
  if (effort == "low") return 2048;
  if (effort == "medium") return 8192;
  return std::nullopt;
}

Result<std::optional<Json>> read_answer_schema(const Json* format, std::string_view place) {
  const auto type = format ? text_of(*format, "type") : std::nullopt;
  if (!type || *type == "text") return std::nullopt;
  if (*type == "json_object") return Json(Json::Object{{"type", "object"}});
  const Json* inner = member_of(*format, "json_schema");
  const Json* schema = member_of(inner ? *inner : *format, "schema");
  if (!schema) return fail(Errc::invalid_argument, "{}.json_schema.schema: missing", place);
  if (!schema->is_object() && !schema->is_bool())
    return fail(Errc::invalid_argument, "{}.json_schema.schema: expected a schema, found {}", place, schema->kind_name());
  return *schema;
}

namespace {

std::vector<int32_t> token_ids(const Json& list) {
  std::vector<int32_t> ids;
  for (const Json& id : list.as_array()) ids.push_back(static_cast<int32_t>(id.to_int64().value_or(-1)));
  return ids;
}

}  // namespace

Result<std::vector<TextOrTokens>> read_prompts(const Json& value, std::string_view name, size_t most) {
  if (value.is_string()) return std::vector<TextOrTokens>{value.as_string()};
  const Json::Array& list = value.as_array();
  const auto kind = list.front().kind();
  for (size_t i = 0; i < list.size(); ++i)
    if (list[i].kind() != kind)
      return fail(Errc::invalid_argument, "{}[{}]: {} beside {}: expected one kind of item", name, i, list[i].kind_name(),
                  Json::kind_name(kind));
  if (kind == Json::Kind::number) return std::vector<TextOrTokens>{token_ids(value)};
  if (list.size() > most) return fail(Errc::invalid_argument, "{}: {} items: expected 1 to {}", name, list.size(), most);
  std::vector<TextOrTokens> prompts;
  for (const Json& one : list) {
    if (one.is_string())
      prompts.emplace_back(one.as_string());
    else
      prompts.emplace_back(token_ids(one));
  }
  return prompts;
}

namespace {

// The name in {"type": "function", "function": {"name": …}} or {"type": "function", "name": …}.
std::optional<std::string> chosen_name(const Json& choice) {
  if (!choice.is_object()) return std::nullopt;
  const Json* function = member_of(choice, "function");
  return text_of(function ? *function : choice, "name");
}

Result<OpenAiChoice> read_allowed(const Json& choice) {
  const Json* inner = member_of(choice, "allowed_tools");
  const Json& said = inner ? *inner : choice;
  OpenAiChoice made;
  const std::string mode = text_of(said, "mode").value_or("auto");
  if (mode != "auto" && mode != "required")
    return fail(Errc::invalid_argument, "tool_choice.mode: {}: expected one of auto, required", mode.substr(0, 60));
  if (mode == "required") made.choice.kind = ToolChoice::Kind::required;
  const Json* tools = member_of(said, "tools");
  if (!tools || !tools->is_array()) return fail(Errc::invalid_argument, "tool_choice.tools: expected an array");
  made.allowed.emplace();
  for (const Json& tool : tools->as_array())
    if (const auto name = chosen_name(tool)) made.allowed->push_back(*name);
  return made;
}

}  // namespace

Result<OpenAiChoice> read_tool_choice(const Json* choice, const std::vector<Json>& tools) {
  using Kind = ToolChoice::Kind;
  OpenAiChoice made;
  if (!choice) return made;
  if (choice->is_string()) {
    made.choice.kind = choice->as_string() == "none"       ? Kind::none
                       : choice->as_string() == "required" ? Kind::required
                                                           : Kind::automatic;
  } else if (const auto type = text_of(*choice, "type"); type == "allowed_tools") {
    QUERN_ASSIGN(made, read_allowed(*choice));
  } else if (const auto name = chosen_name(*choice); name && type.value_or("function") == "function") {
    made.choice = {.kind = Kind::named, .name = *name};
  } else {
    return fail(Errc::invalid_argument, "tool_choice: expected none, auto, required, a function, or allowed_tools");
  }
  std::vector<std::string> named = made.allowed.value_or(std::vector<std::string>());
  if (made.choice.kind == Kind::named) named.push_back(made.choice.name);
  for (const std::string& name : named)
    if (!find_tool(tools, name))
      return fail(Errc::invalid_argument, "tool_choice: {}: no tool of that name is offered", name.substr(0, 80));
  if (made.choice.kind == Kind::required && tools.empty())
    return fail(Errc::invalid_argument, "tool_choice: required, but no tool is offered");
  return made;
}

}  // namespace quern
