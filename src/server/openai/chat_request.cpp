#include "server/openai/chat_request.h"

#include "server/openai/shapes.h"
#include "server/openai/tool_results.h"
#include "server/shape.h"
#include "text/trim.h"

namespace quern {

namespace {

enum class Unreadable { refused, named };

Result<std::string> part_text(const Json& part, const std::string& place, Unreadable unreadable) {
  const std::string type = text_of(part, "type").value_or("").substr(0, 60);
  const bool refusal = type == "refusal";
  if (!refusal && type != "text" && type != "input_text" && type != "output_text") {
    if (unreadable == Unreadable::named) return fmt::format("[{}: not shown, the model reads text only]", type);
    return fail(Errc::unsupported, "{}.type: {}: the models here read text only", place, type);
  }
  auto said = text_of(part, refusal ? "refusal" : "text");
  if (!said) return fail(Errc::invalid_argument, "{}.{}: missing: expected a string", place, refusal ? "refusal" : "text");
  return std::move(*said);
}

Result<std::string> parts_text(const Json& content, std::string_view place, Unreadable unreadable) {
  if (content.is_string()) return content.as_string();
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    QUERN_ASSIGN(const std::string said, part_text(content.as_array()[i], fmt::format("{}[{}]", place, i), unreadable));
    if (!text.empty() && !said.empty()) text += "\n";
    text += said;
  }
  return text;
}

}  // namespace

Result<std::string> content_text(const Json& content, std::string_view place) {
  return parts_text(content, place, Unreadable::refused);
}
Result<std::string> result_text(const Json& content, std::string_view place) {
  return parts_text(content, place, Unreadable::named);
}

namespace {

ToolCall read_call(const Json& function) {
  const std::string arguments = text_of(function, "arguments").value_or("");
  return {text_of(function, "name").value_or(""), trim(arguments).empty() ? "{}" : arguments};
}

Role role_of(const std::string& role) {
  if (role == "system" || role == "developer") return Role::system;
  if (role == "assistant") return Role::assistant;
  return role == "user" ? Role::user : Role::tool;
}

Result<IdentifiedMessage> read_message(const Json& json, const std::string& place) {
  IdentifiedMessage read;
  Message& message = read.message;
  message.role = role_of(json.find("role")->as_string());
  const Json* content = member_of(json, "content");
  if (content) {
    const auto read_text = message.role == Role::tool ? result_text : content_text;
    QUERN_ASSIGN(message.content, read_text(*content, place + ".content"));
  } else if (message.role != Role::assistant) {
    return fail(Errc::invalid_argument, "{}.content: missing: expected a string or an array", place);
  }
  if (message.role == Role::tool) read.result_id = text_of(json, "tool_call_id").value_or("");
  if (message.role != Role::assistant) return read;
  message.reasoning = text_of(json, "reasoning_content");
  if (!message.reasoning) message.reasoning = text_of(json, "reasoning");
  if (const Json* calls = member_of(json, "tool_calls"))
    for (const Json& call : calls->as_array()) {
      message.tool_calls.push_back(read_call(*call.find("function")));
      read.call_ids.push_back(text_of(call, "id").value_or(""));
    }
  if (const Json* call = member_of(json, "function_call")) message.tool_calls.push_back(read_call(*call));
  return read;
}

Result<std::vector<Message>> read_messages(const Json::Array& list) {
  std::vector<IdentifiedMessage> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    QUERN_ASSIGN(IdentifiedMessage message, read_message(list[i], fmt::format("messages[{}]", i)));
    messages.push_back(std::move(message));
  }
  order_tool_results(messages);
  std::vector<Message> plain;
  for (IdentifiedMessage& message : messages) plain.push_back(std::move(message.message));
  return plain;
}

Result<std::vector<Json>> read_tools(const Json& body) {
  std::vector<Json> tools;
  if (const Json* list = member_of(body, "tools"))
    tools = list->as_array();
  else if (const Json* functions = member_of(body, "functions"))
    for (const Json& function : functions->as_array()) tools.push_back(Json::Object{{"type", "function"}, {"function", function}});
  return tools;
}

// {"name": "f"} of function_call as tool_choice says it.
std::optional<Json> read_function_call(const Json& body) {
  const Json* choice = member_of(body, "function_call");
  if (!choice) return std::nullopt;
  if (choice->is_string()) return *choice;
  return Json(Json::Object{{"type", "function"}, {"function", *choice}});
}

Result<void> read_logprobs(const Json& body, TurnRequest& turn) {
  const auto top = integer_of(body, "top_logprobs");
  const bool wanted = boolean_of(body, "logprobs").value_or(false);
  if (top && !wanted) return fail(Errc::invalid_argument, "top_logprobs: only together with logprobs");
  if (wanted) turn.top_logprobs = static_cast<int>(top.value_or(0));
  return {};
}

}  // namespace

Result<ChatRequest> parse_chat_request(const Json& body) {
  QUERN_TRY(openai_shapes::chat_request().check(body));
  ChatRequest request;
  request.model = text_of(body, "model").value_or("");
  Conversation conversation;
  QUERN_ASSIGN(conversation.messages, read_messages(body.find("messages")->as_array()));
  QUERN_ASSIGN(conversation.tools, read_tools(body));
  request.functions = member_of(body, "functions") && !member_of(body, "tools");
  const std::optional<Json> function_call = request.functions ? read_function_call(body) : std::nullopt;
  const Json* wanted = function_call ? &*function_call : member_of(body, "tool_choice");
  QUERN_ASSIGN(OpenAiChoice choice, read_tool_choice(wanted, conversation.tools));
  TurnRequest& turn = request.turn;
  turn.prompt = std::move(conversation);
  turn.choice = std::move(choice.choice);
  turn.allowed_tools = std::move(choice.allowed);
  turn.parallel_calls = !request.functions && boolean_of(body, "parallel_tool_calls").value_or(true);
  QUERN_ASSIGN(turn.schema, read_answer_schema(member_of(body, "response_format"), "response_format"));
  QUERN_ASSIGN(request.sampling, read_sampling(body));
  turn.choices = integer_of(body, "n").value_or(1);
  const auto most = integer_of(body, "max_completion_tokens");
  turn.max_tokens = most ? *most : integer_of(body, "max_tokens").value_or(-1);
  turn.stop = read_stop(body);
  turn.reasoning_tokens = reasoning_budget(text_of(body, "reasoning_effort"), body);
  QUERN_TRY(read_logprobs(body, turn));
  request.stream = boolean_of(body, "stream").value_or(false);
  if (const Json* options = member_of(body, "stream_options"))
    request.include_usage = request.stream && boolean_of(*options, "include_usage").value_or(false);
  return request;
}

}  // namespace quern
