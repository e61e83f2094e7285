#include "server/anthropic/request.h"

#include "base/digest.h"
#include "server/anthropic/content.h"
#include "server/anthropic/shapes.h"
#include "server/fields.h"

namespace quern {
namespace {

Result<void> read_system(const Json& body, AnthropicRequest& request) {
  const Json* system = FieldReader(body).find("system");
  if (!system) return {};
  QUERN_ASSIGN(std::string text, anthropic_text(*system, "system", request.notes));
  if (!text.empty()) request.conversation.messages.push_back({.role = Role::system, .content = std::move(text)});
  return {};
}

Result<void> read_messages(const Json& body, AnthropicRequest& request) {
  const Json::Array& messages = body.find("messages")->as_array();
  std::vector<std::string> calls;
  for (size_t i = 0; i < messages.size(); ++i)
    QUERN_TRY(read_anthropic_message(messages[i], fmt::format("messages[{}]", i), request.conversation, calls, request.notes));
  return {};
}

Result<void> read_tools(const Json& body, AnthropicRequest& request) {
  QUERN_ASSIGN(const Json::Array* const tools, FieldReader(body).array("tools"));
  for (size_t i = 0; tools && i < tools->size(); ++i) {
    const FieldReader tool((*tools)[i], fmt::format("tools[{}]", i));
    QUERN_ASSIGN(const auto type, tool.text("type"));
    QUERN_ASSIGN(const auto name, tool.text("name"));
    QUERN_ASSIGN(const Json* const schema, tool.object("input_schema"));
    if (type && *type != "custom" && !schema) {
      request.notes.push_back(fmt::format("tool {} is Anthropic's own: left out", *type));
      continue;
    }
    if (!name || name->empty()) return fail(Errc::malformed, "{}: expected a string", tool.place("name"));
    if (!schema) return fail(Errc::malformed, "{}: expected an object", tool.place("input_schema"));
    QUERN_ASSIGN(const auto description, tool.text("description"));
    request.conversation.tools.push_back(function_tool(*name, description.value_or(""), *schema));
  }
  return {};
}

Result<void> read_choice(const Json& body, AnthropicRequest& request) {
  const Json* choice = member_of(body, "tool_choice");
  if (!choice) return {};
  const auto type = text_of(*choice, "type"), name = text_of(*choice, "name");
  using Kind = ToolChoice::Kind;
  request.choice.kind = type == "any"    ? Kind::required
                        : type == "none" ? Kind::none
                        : type == "tool" ? Kind::named
                                         : Kind::automatic;
  request.parallel_calls = !boolean_of(*choice, "disable_parallel_tool_use").value_or(false);
  if (request.choice.kind == Kind::named) {
    if (!name) return fail(Errc::malformed, "tool_choice.name: expected a tool's name");
    if (!find_tool(request.conversation.tools, *name))
      return fail(Errc::malformed, "tool_choice.name: no tool is called {}", name->substr(0, 60));
    request.choice.name = *name;
  }
  if (request.choice.kind == Kind::required && request.conversation.tools.empty())
    return fail(Errc::malformed, "tool_choice: any: no tool is offered");
  return {};
}

Result<void> read_thinking(const Json& body, AnthropicRequest& request) {
  const Json* thinking = member_of(body, "thinking");
  if (!thinking) return {};
  const auto type = text_of(*thinking, "type");
  using Thinking = AnthropicRequest::Thinking;
  if (type == "disabled") {
    request.thinking = Thinking::disabled;
    return {};
  }
  if (type == "enabled") {
    request.thinking_tokens = integer_of(*thinking, "budget_tokens");
    if (!request.thinking_tokens) return fail(Errc::malformed, "thinking.budget_tokens: missing: expected an integer");
  }
  request.thinking = text_of(*thinking, "display") == "omitted" ? Thinking::hidden : Thinking::shown;
  return {};
}

// output_config.format, or output_format as clients called it before.
void read_format(const Json& body, AnthropicRequest& request) {
  const Json* config = member_of(body, "output_config");
  const Json* format = config ? member_of(*config, "format") : member_of(body, "output_format");
  if (format) request.schema = *format->find("schema");
}

Result<void> read_generation(const Json& body, AnthropicRequest& request) {
  request.sampling.temperature = number_of(body, "temperature");
  request.sampling.top_p = number_of(body, "top_p");
  request.sampling.top_k = integer_of(body, "top_k");
  request.max_tokens = integer_of(body, "max_tokens").value_or(0);
  request.stream = boolean_of(body, "stream").value_or(false);
  if (const Json* metadata = member_of(body, "metadata")) request.user = text_of(*metadata, "user_id").value_or("");
  QUERN_ASSIGN(request.stop, FieldReader(body).texts("stop_sequences"));
  return {};
}

constexpr std::string_view kHidden = "quern-thinking:", kShown = "quern:";

}  // namespace

Result<AnthropicRequest> parse_anthropic_request(const Json& body, AnthropicBody kind) {
  const bool message = kind == AnthropicBody::message;
  QUERN_TRY((message ? anthropic_shapes::message_request() : anthropic_shapes::count_request()).check(body));
  AnthropicRequest request;
  request.model = text_of(body, "model").value_or("");
  QUERN_TRY(read_system(body, request));
  QUERN_TRY(read_messages(body, request));
  QUERN_TRY(read_tools(body, request));
  QUERN_TRY(read_choice(body, request));
  QUERN_TRY(read_thinking(body, request));
  read_format(body, request);
  if (message) QUERN_TRY(read_generation(body, request));
  Message& last = request.conversation.messages.back();
  if (last.role == Role::assistant && last.tool_calls.empty() && request.conversation.messages.size() > 1) {
    request.prefill = std::move(last.content);
    request.conversation.messages.pop_back();
  } else if (last.role == Role::assistant && !message) {
    request.conversation.add_generation_prompt = false;
  } else if (last.role == Role::assistant) {
    return fail(Errc::malformed, "messages: the last one is the assistant's and {}",
                last.tool_calls.empty() ? "the only one" : "calls tools whose results are missing");
  }
  return request;
}

TurnRequest AnthropicRequest::turn(const SamplingParams& defaults) const {
  TurnRequest turn;
  turn.prompt = conversation;
  turn.prefill = prefill;
  turn.choice = choice;
  turn.parallel_calls = parallel_calls;
  turn.schema = schema;
  turn.sampling = sampling.over(defaults);
  turn.max_tokens = max_tokens;
  turn.stop = stop;
  turn.reasoning_tokens = thinking == Thinking::disabled ? std::optional<int64_t>(0) : thinking_tokens;
  turn.client = user;
  return turn;
}

std::string thinking_signature(std::string_view text, bool hidden) {
  return hidden ? std::string(kHidden) + std::string(text) : std::string(kShown) + sha256_hex(text).substr(0, 32);
}

std::optional<std::string> hidden_thinking(std::string_view signature) {
  if (!signature.starts_with(kHidden)) return std::nullopt;
  return std::string(signature.substr(kHidden.size()));
}

}  // namespace quern
