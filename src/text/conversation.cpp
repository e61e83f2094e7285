#include "text/conversation.h"

namespace quern {
namespace {

Result<Role> parse_role(const Json* role) {
  if (role && role->is_string()) {
    const std::string& name = role->as_string();
    if (name == "system" || name == "developer") return Role::system;
    if (name == "user") return Role::user;
    if (name == "assistant") return Role::assistant;
    if (name == "tool") return Role::tool;
  }
  return fail(Errc::malformed, "role: expected system, user, assistant or tool, found {}",
              role ? role->dump().substr(0, 60) : "nothing");
}

// {"function": {"name": …, "arguments": …}} or the inner object alone.
Result<ToolCall> parse_call(const Json& call) {
  const Json* function = call.find("function");
  const Json& inner = function && function->is_object() ? *function : call;
  const Json* name = inner.find("name");
  if (!name || !name->is_string()) return fail(Errc::malformed, "name: expected a string");
  const Json* arguments = inner.find("arguments");
  if (arguments && !arguments->is_object() && !arguments->is_string())
    return fail(Errc::malformed, "arguments: expected an object or a string, found {}", arguments->kind_name());
  return ToolCall{name->as_string(), arguments ? *arguments : Json::object()};
}

Result<Message> parse_message(const Json& json) {
  if (!json.is_object()) return fail(Errc::malformed, "expected an object, found {}", json.kind_name());
  Message message;
  QUERN_ASSIGN(message.role, parse_role(json.find("role")));
  const Json* content = json.find("content");
  message.content_is_text = content && content->is_string();
  if (message.content_is_text) message.content = content->as_string();
  for (const std::string_view key : {"reasoning_content", "reasoning"})
    if (const Json* reasoning = json.find(key); reasoning && reasoning->is_string() && !message.reasoning)
      message.reasoning = reasoning->as_string();
  if (const Json* calls = json.find("tool_calls"); calls && !calls->is_null()) {
    if (!calls->is_array()) return fail(Errc::malformed, "tool_calls: expected an array, found {}", calls->kind_name());
    for (size_t i = 0; i < calls->size(); ++i) {
      auto call = parse_call(calls->as_array()[i]);
      if (!call) return with_context(call.error(), fmt::format("tool_calls[{}]", i));
      message.tool_calls.push_back(std::move(*call));
    }
  }
  return message;
}

}  // namespace

const Json& tool_function(const Json& tool) {
  const Json* function = tool.find("function");
  return function ? *function : tool;
}

Json function_tool(std::string_view name, std::string_view description, Json parameters) {
  Json function = Json::object(), tool = Json::object();
  function["name"] = name;
  function["description"] = description;
  function["parameters"] = std::move(parameters);
  tool["type"] = "function";
  tool["function"] = std::move(function);
  return tool;
}

const Json* find_tool(const std::vector<Json>& tools, std::string_view name) {
  for (const Json& tool : tools) {
    const Json* found = tool_function(tool).find("name");
    if (found && found->is_string() && found->as_string() == name) return &tool;
  }
  return nullptr;
}

std::string_view role_name(Role role) {
  constexpr std::string_view names[] = {"system", "user", "assistant", "tool"};
  return names[static_cast<size_t>(role)];
}

Result<Conversation> Conversation::from_json(const Json& request) {
  Conversation conversation;
  const Json* messages = request.find("messages");
  if (!messages || !messages->is_array()) return fail(Errc::malformed, "request: messages: expected an array");
  for (size_t i = 0; i < messages->size(); ++i) {
    auto message = parse_message(messages->as_array()[i]);
    if (!message) return with_context(message.error(), fmt::format("request: messages[{}]", i));
    conversation.messages.push_back(std::move(*message));
  }
  if (const Json* tools = request.find("tools"); tools && !tools->is_null()) {
    if (!tools->is_array()) return fail(Errc::malformed, "request: tools: expected an array, found {}", tools->kind_name());
    for (const Json& tool : tools->as_array()) {
      if (!tool.is_object()) return fail(Errc::malformed, "request: tools: expected objects, found {}", tool.kind_name());
      conversation.tools.push_back(tool);
    }
  }
  if (const Json* add = request.find("add_generation_prompt"); add && !add->is_null()) {
    if (!add->is_bool())
      return fail(Errc::malformed, "request: add_generation_prompt: expected true or false, found {}", add->kind_name());
    conversation.add_generation_prompt = add->as_bool();
  }
  return conversation;
}

std::string prompt_text(const Prompt& prompt) {
  std::string text;
  for (const PromptPiece& piece : prompt) text += piece.text;
  return text;
}

}  // namespace quern
