#include "server/openai/response_request.h"

#include "base/base64.h"
#include "base/utf8.h"
#include "server/openai/chat_request.h"
#include "server/openai/shapes.h"
#include "server/openai/tool_results.h"
#include "server/shape.h"
#include "server/unique_id.h"

namespace quern {
namespace {

constexpr std::string_view kPacked = "quern1.";

std::string type_of(const Json& item) { return text_of(item, "type").value_or("message"); }

void note(std::string& list, std::string_view what) {
  if (list.find(what) == std::string::npos) list += (list.empty() ? "" : ", ") + std::string(what);
}

// --- tools ------------------------------------------------------------------------------------------------------------------------------

// The model's list of tools is flat: a function in a namespace is known to it as SPACE__NAME, as programs name the tools of MCP servers.
std::string flat_name(const std::optional<std::string>& space, const std::string& name) {
  return space && !space->empty() ? *space + "__" + name : name;
}

// A function, or one in the namespace `space`, whose description goes in front of its own: `about`.
Result<void> read_tool(const Json& tool, const std::string& place, const std::optional<std::string>& space,
                       const std::string& about, ResponseRequest& request) {
  const std::string type = type_of(tool);
  const auto name = text_of(tool, "name");
  if (type != "function") {
    note(request.ignored_tools, name ? type + " " + flat_name(space, *name) : type);
    return {};
  }
  if (!name) return fail(Errc::invalid_argument, "{}.name: missing: expected a string", place);
  Json function = Json::object();
  for (const char* key : {"name", "description", "parameters"})
    if (const Json* value = member_of(tool, key)) function[key] = *value;
  const std::string flat = flat_name(space, *name);
  function["name"] = flat;
  if (!about.empty()) function["description"] = about + "\n\n" + text_of(tool, "description").value_or("");
  if (space) request.namespaced[flat] = {.space = *space, .name = *name};
  request.tools.push_back(Json::Object{{"type", "function"}, {"function", std::move(function)}});
  return {};
}

// {"type": "namespace", "name", "description", "tools"}: what it is for stands before its first function.
Result<void> read_namespace(const Json& space, const std::string& place, ResponseRequest& request) {
  const auto name = text_of(space, "name");
  if (!name) return fail(Errc::invalid_argument, "{}.name: missing: expected a string", place);
  std::string about = text_of(space, "description").value_or("");
  if (!about.empty()) about = *name + ": " + about;
  const Json* tools = member_of(space, "tools");
  for (size_t i = 0; tools && i < tools->size(); ++i) {
    QUERN_TRY(read_tool(tools->as_array()[i], fmt::format("{}.tools[{}]", place, i), name, about, request));
    about.clear();
  }
  return {};
}

Result<void> read_tools(const Json& body, ResponseRequest& request) {
  const Json* tools = member_of(body, "tools");
  for (size_t i = 0; tools && i < tools->size(); ++i) {
    const Json& tool = tools->as_array()[i];
    const std::string place = fmt::format("tools[{}]", i);
    QUERN_TRY(type_of(tool) == "namespace" ? read_namespace(tool, place, request) : read_tool(tool, place, {}, "", request));
  }
  return {};
}

// A choice of a function in a namespace, by the name that it has among the tools.
Json flat_choice(Json choice) {
  const auto space = text_of(choice, "namespace"), name = text_of(choice, "name");
  if (space && name) choice["name"] = flat_name(space, *name);
  return choice;
}

// A choice of a tool that was left out is a choice of nothing.
Result<void> read_choice(const Json& body, ResponseRequest& request) {
  const Json* choice = member_of(body, "tool_choice");
  if (choice && choice->is_object()) {
    const std::string type = text_of(*choice, "type").value_or("function");
    if (type != "function" && type != "allowed_tools") choice = nullptr;
  }
  const Json flat = choice && choice->is_object() ? flat_choice(*choice) : Json();
  QUERN_ASSIGN(OpenAiChoice made, read_tool_choice(choice && choice->is_object() ? &flat : choice, request.tools));
  request.turn.choice = std::move(made.choice);
  request.turn.allowed_tools = std::move(made.allowed);
  return {};
}

// --- items ------------------------------------------------------------------------------------------------------------------------------

Result<void> read_input(const Json& body, const std::function<std::shared_ptr<const Json>(const std::string&)>& find_item,
                        ResponseRequest& request) {
  const Json* input = member_of(body, "input");
  const auto add = [&](Json item, std::string_view prefix) {
    if (!text_of(item, "id")) item["id"] = unique_id(prefix);
    request.input.push_back(std::make_shared<const Json>(std::move(item)));
  };
  if (!input) return {};
  if (input->is_string()) {
    Json part = Json::Object{{"type", "input_text"}, {"text", *input}};
    add(Json::Object{{"type", "message"}, {"role", "user"}, {"content", Json::Array{std::move(part)}}}, "msg_");
    return {};
  }
  for (size_t i = 0; i < input->size(); ++i) {
    Json item = input->as_array()[i];
    if (type_of(item) == "item_reference") {
      auto found = find_item(text_of(item, "id").value_or(""));
      if (!found) return fail(Errc::not_found, "input[{}].id: the server keeps no such item", i);
      request.input.push_back(std::move(found));
      continue;
    }
    const std::string type = type_of(item);
    if (!item.find("type")) item["type"] = type;
    add(std::move(item), type == "message" ? "msg_" : type == "reasoning" ? "rs_" : "fc_");
  }
  return {};
}

// Of the parts of reasoning's content or summary.
std::string parts_text(const Json* parts) {
  std::string text;
  if (parts && parts->is_string()) return parts->as_string();
  for (size_t i = 0; parts && i < parts->size(); ++i)
    if (const auto said = text_of(parts->as_array()[i], "text")) text += (text.empty() ? "" : "\n") + *said;
  return text;
}

// Reads items one after another into messages: what an assistant thinks, says and calls in a row is one message.
class ItemReader {
 public:
  explicit ItemReader(ResponseRequest& request) : request_(request) {}

  Result<void> read(const Json& item, const std::string& place) {
    const std::string type = type_of(item);
    if (type == "message") return message(item, place);
    if (type == "reasoning") {
      reasoning(item);
      return {};
    }
    if (type == "function_call" || type == "custom_tool_call" || type == "local_shell_call") return call(item, type, place);
    if (type == "function_call_output" || type == "custom_tool_call_output" || type == "local_shell_call_output")
      return output(item, place);
    note(request_.ignored_items, type.substr(0, 60));
    return {};
  }
  std::vector<Message> take() {
    order_tool_results(messages_);
    std::vector<Message> plain;
    for (IdentifiedMessage& message : messages_) plain.push_back(std::move(message.message));
    return plain;
  }

 private:
  Message& add(Role role) {
    Message& message = messages_.emplace_back().message;
    message.role = role;
    return message;
  }
  // The assistant's message that goes on, or a new one.
  IdentifiedMessage& assistant(bool fits) {
    if (messages_.empty() || messages_.back().message.role != Role::assistant || !fits) add(Role::assistant);
    return messages_.back();
  }
  bool last_has_calls() const { return !messages_.empty() && !messages_.back().message.tool_calls.empty(); }
  bool last_has_text() const { return !messages_.empty() && !messages_.back().message.content.empty(); }

  Result<void> message(const Json& item, const std::string& place) {
    const std::string role = text_of(item, "role").value_or("user");
    const Json* content = member_of(item, "content");
    if (!content) return fail(Errc::invalid_argument, "{}.content: missing: expected a string or an array", place);
    QUERN_ASSIGN(std::string text, content_text(*content, place + ".content"));
    if (role == "assistant")
      assistant(!last_has_calls() && !last_has_text()).message.content = std::move(text);
    else
      add(role == "user" ? Role::user : Role::system).content = std::move(text);
    return {};
  }

  void reasoning(const Json& item) {
    std::string text = parts_text(member_of(item, "content"));
    const auto packed = text_of(item, "encrypted_content");
    if (text.empty() && packed) text = unpack_reasoning(*packed).value_or("");
    if (text.empty()) text = parts_text(member_of(item, "summary"));
    if (!text.empty()) assistant(false).message.reasoning = std::move(text);
  }

  Result<void> call(const Json& item, const std::string& type, const std::string& place) {
    ToolCall call;
    const Json* action = member_of(item, "action");
    call.name = text_of(item, "name").value_or(type == "local_shell_call" ? "local_shell" : "");
    if (call.name.empty()) return fail(Errc::invalid_argument, "{}.name: missing: expected a string", place);
    call.name = flat_name(text_of(item, "namespace"), call.name);
    if (type == "function_call") {
      const std::string arguments = text_of(item, "arguments").value_or("");
      call.arguments = arguments.empty() ? "{}" : arguments;
    } else if (action && action->is_object()) {
      call.arguments = *action;
    } else {
      call.arguments = Json::Object{{"input", text_of(item, "input").value_or("")}};
    }
    IdentifiedMessage& own = assistant(true);
    own.message.tool_calls.push_back(std::move(call));
    own.call_ids.push_back(text_of(item, "call_id").value_or(""));
    return {};
  }

  Result<void> output(const Json& item, const std::string& place) {
    const Json* output = member_of(item, "output");
    if (!output) return fail(Errc::invalid_argument, "{}.output: missing: expected a string or an array", place);
    Message& message = add(Role::tool);
    if (output->is_object()) {
      message.content = output->dump();
    } else {
      QUERN_ASSIGN(messages_.back().message.content, result_text(*output, place + ".output"));
    }
    messages_.back().result_id = text_of(item, "call_id").value_or("");
    return {};
  }

  ResponseRequest& request_;
  std::vector<IdentifiedMessage> messages_;
};

// Of the request what the answer says again.
Json read_echo(const Json& body) {
  Json echo = Json::object();
  for (const char* key :
       {"instructions", "max_output_tokens", "parallel_tool_calls", "previous_response_id", "reasoning", "store", "temperature",
        "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user", "prompt_cache_key"})
    if (const Json* value = body.find(key)) echo[key] = *value;
  const auto otherwise = [&](const char* key, Json value) {
    if (!member_of(echo, key)) echo[key] = std::move(value);
  };
  otherwise("instructions", nullptr);
  otherwise("max_output_tokens", nullptr);
  otherwise("parallel_tool_calls", true);
  otherwise("previous_response_id", nullptr);
  otherwise("reasoning", Json::Object{{"effort", nullptr}, {"summary", nullptr}});
  otherwise("store", true);
  otherwise("text", Json::Object{{"format", Json::Object{{"type", "text"}}}});
  otherwise("tool_choice", "auto");
  otherwise("tools", Json::array());
  otherwise("truncation", "disabled");
  return echo;
}

bool includes(const Json& body, std::string_view what) {
  const Json* list = member_of(body, "include");
  for (size_t i = 0; list && i < list->size(); ++i)
    if (list->as_array()[i].as_string() == what) return true;
  return false;
}

Json metadata_of(const Json& body, const ResponseRequest& request) {
  const Json* own = member_of(body, "metadata");
  Json metadata = own ? *own : Json::object();
  if (!request.ignored_tools.empty()) metadata["ignored_tools"] = request.ignored_tools;
  return metadata;
}

}  // namespace

Result<Conversation> ResponseRequest::conversation(const ResponseItems& before) {
  ItemReader reader(*this);
  for (const auto& item : before) QUERN_TRY(reader.read(*item, "previous_response_id"));
  for (size_t i = 0; i < input.size(); ++i) QUERN_TRY(reader.read(*input[i], fmt::format("input[{}]", i)));
  Conversation made;
  made.messages = reader.take();
  if (made.messages.empty() && instructions.empty())
    return fail(Errc::invalid_argument, "input: missing: there is nothing to answer");
  if (!instructions.empty()) {
    Message system;
    system.role = Role::system;
    system.content = instructions;
    made.messages.insert(made.messages.begin(), std::move(system));
  }
  made.tools = tools;
  if (!ignored_items.empty()) (*echo.find("metadata"))["ignored_items"] = ignored_items;
  return made;
}

Result<ResponseRequest> parse_response_request(const Json& body,
                                               const std::function<std::shared_ptr<const Json>(const std::string& id)>& find_item) {
  QUERN_TRY(openai_shapes::response_request().check(body));
  if (boolean_of(body, "background").value_or(false))
    return fail(Errc::unsupported, "background: answers are made while a client waits");
  if (member_of(body, "conversation"))
    return fail(Errc::unsupported, "conversation: only previous_response_id goes on from an answer");
  ResponseRequest request;
  request.model = text_of(body, "model").value_or("");
  request.previous = text_of(body, "previous_response_id").value_or("");
  request.instructions = text_of(body, "instructions").value_or("");
  QUERN_TRY(read_input(body, find_item, request));
  QUERN_TRY(read_tools(body, request));
  QUERN_TRY(read_choice(body, request));
  QUERN_ASSIGN(request.sampling, read_sampling(body));
  TurnRequest& turn = request.turn;
  turn.parallel_calls = boolean_of(body, "parallel_tool_calls").value_or(true);
  const Json* text = member_of(body, "text");
  QUERN_ASSIGN(turn.schema, read_answer_schema(text ? member_of(*text, "format") : nullptr, "text.format"));
  turn.max_tokens = integer_of(body, "max_output_tokens").value_or(-1);
  turn.stop = read_stop(body);
  const Json* reasoning = member_of(body, "reasoning");
  turn.reasoning_tokens = reasoning_budget(reasoning ? text_of(*reasoning, "effort") : std::nullopt, body);
  const auto top = integer_of(body, "top_logprobs");
  if (top || includes(body, "message.output_text.logprobs")) turn.top_logprobs = static_cast<int>(top.value_or(0));
  request.encrypted_reasoning = includes(body, "reasoning.encrypted_content");
  request.store = boolean_of(body, "store").value_or(true);
  request.stream = boolean_of(body, "stream").value_or(false);
  request.echo = read_echo(body);
  request.echo["metadata"] = metadata_of(body, request);
  return request;
}

std::string pack_reasoning(std::string_view text) { return std::string(kPacked) + base64_encode(text); }

std::optional<std::string> unpack_reasoning(std::string_view packed) {
  if (!packed.starts_with(kPacked)) return std::nullopt;
  auto text = base64_decode(packed.substr(kPacked.size()));
  if (!text || find_invalid_utf8(*text) != std::string::npos) return std::nullopt;
  return text;
}

}  // namespace quern
