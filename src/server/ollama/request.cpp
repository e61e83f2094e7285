#include "server/ollama/request.h"

#include <algorithm>
#include <charconv>

#include "server/fields.h"
#include "server/ollama/shapes.h"

namespace quern {
namespace {

constexpr double kLongest = 1e9;  // seconds; 31 years
// Budgets of the levels a client may ask for; "high" is without.
constexpr int64_t kLow = 1024, kMedium = 8192;

Result<void> no_images(const Json& object, std::string_view place) {
  const Json* images = member_of(object, "images");
  if (images && images->size() > 0) return fail(Errc::unsupported, "{}images: the model reads text only", place);
  return {};
}

std::vector<ToolCall> read_calls(const Json& message) {
  std::vector<ToolCall> calls;
  const Json* array = member_of(message, "tool_calls");
  if (!array) return calls;
  for (const Json& call : array->as_array()) {
    const Json& function = *call.find("function");
    const Json* arguments = member_of(function, "arguments");
    calls.push_back({*text_of(function, "name"), arguments ? *arguments : Json::object()});
  }
  return calls;
}

Result<Message> read_message(const Json& json, size_t number) {
  const std::string role = *text_of(json, "role");
  Message message;
  message.role = role == "system" ? Role::system : role == "assistant" ? Role::assistant : role == "tool" ? Role::tool : Role::user;
  message.content = text_of(json, "content").value_or("");
  message.reasoning = text_of(json, "thinking");
  message.tool_calls = read_calls(json);
  QUERN_TRY(no_images(json, fmt::format("messages[{}].", number)));
  if (!message.tool_calls.empty() && message.role != Role::assistant)
    return fail(Errc::malformed, "messages[{}].tool_calls: only the assistant calls tools", number);
  return message;
}

Result<void> read_chat(const Json& body, OllamaRequest& request) {
  Conversation conversation;
  if (const Json* messages = member_of(body, "messages"))
    for (const Json& json : messages->as_array()) {
      QUERN_ASSIGN(Message message, read_message(json, conversation.messages.size()));
      conversation.messages.push_back(std::move(message));
    }
  if (const Json* tools = member_of(body, "tools")) conversation.tools = tools->as_array();
  request.only_load = conversation.messages.empty();
  request.prompt = std::move(conversation);
  return {};
}

Result<void> read_generate(const Json& body, OllamaRequest& request) {
  for (const std::string_view name : {"template", "suffix"})
    if (!text_of(body, name).value_or("").empty())
      return fail(Errc::unsupported, "{}: the model's own format is used; with raw, the prompt is taken as it is", name);
  if (const Json* context = member_of(body, "context"); context && context->size() > 0)
    return fail(Errc::unsupported, "context: an earlier answer is gone on from with its messages, by /api/chat");
  QUERN_TRY(no_images(body, ""));
  std::string prompt = text_of(body, "prompt").value_or(""), system = text_of(body, "system").value_or("");
  request.only_load = prompt.empty();
  if (boolean_of(body, "raw").value_or(false)) {
    request.prompt = std::move(prompt);
    return {};
  }
  Conversation conversation;
  if (!system.empty()) conversation.messages.push_back({.role = Role::system, .content = std::move(system)});
  conversation.messages.push_back({.role = Role::user, .content = std::move(prompt)});
  request.prompt = std::move(conversation);
  return {};
}

void read_answer(const Json& body, OllamaRequest& request) {
  if (const Json* format = member_of(body, "format"); format && !(format->is_string() && format->as_string().empty()))
    request.schema = format->is_object() ? *format : Json::object();
  if (const Json* think = member_of(body, "think")) {
    const std::string level = think->is_string() ? think->as_string() : "";
    request.think = !think->is_bool() || think->as_bool();
    if (level == "low" || level == "medium") request.thinking_tokens = level == "low" ? kLow : kMedium;
  }
  if (boolean_of(body, "logprobs").value_or(false))
    request.top_logprobs = static_cast<int>(integer_of(body, "top_logprobs").value_or(0));
  request.stream = boolean_of(body, "stream").value_or(true);
}

Result<void> read_options(const Json& body, OllamaRequest& request) {
  const Json* options = member_of(body, "options");
  if (!options) return {};
  SamplingFields& sampling = request.sampling;
  sampling.temperature = number_of(*options, "temperature");
  sampling.top_p = number_of(*options, "top_p");
  sampling.min_p = number_of(*options, "min_p");
  sampling.top_k = integer_of(*options, "top_k");
  sampling.seed = integer_of(*options, "seed");
  sampling.repetition_penalty = number_of(*options, "repeat_penalty");
  sampling.presence_penalty = number_of(*options, "presence_penalty");
  sampling.frequency_penalty = number_of(*options, "frequency_penalty");
  request.max_tokens = std::max<int64_t>(-1, integer_of(*options, "num_predict").value_or(-1));
  const Json* stop = member_of(*options, "stop");
  if (stop && stop->is_string()) {
    if (!stop->as_string().empty()) request.stop = {stop->as_string()};
    return {};
  }
  QUERN_ASSIGN(request.stop, FieldReader(*options, "options").texts("stop"));
  return {};
}

// "1h30m", "300ms", "-1m", or a bare number of seconds.
Result<double> parse_duration(std::string_view text) {
  const auto refuse = [&] {
    return fail(Errc::malformed, "keep_alive: {}: expected seconds or a duration like \"5m\"", text.substr(0, 40));
  };
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.empty()) return refuse();
  double seconds = 0;
  for (bool first = true; !rest.empty(); first = false) {
    double count = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count, std::chars_format::fixed);
    if (error != std::errc() || !(count >= 0)) return refuse();
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    const std::string_view unit = rest.substr(0, std::min(rest.find_first_of("0123456789."), rest.size()));
    rest.remove_prefix(unit.size());
    struct Unit {
      std::string_view name;
      double seconds;
    };
    static constexpr Unit units[] = {{"h", 3600}, {"m", 60}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"µs", 1e-6}, {"ns", 1e-9}};
    const Unit* found = nullptr;
    for (const Unit& known : units)
      if (known.name == unit) found = &known;
    if (!found && !(unit.empty() && first && rest.empty())) return refuse();
    seconds += count * (found ? found->seconds : 1);
  }
  return negative ? -seconds : seconds;
}

}  // namespace

Result<std::chrono::duration<double>> parse_keep_alive(const Json& value) {
  double seconds = 0;
  if (value.is_number()) {
    seconds = value.as_double();
  } else if (value.is_string()) {
    QUERN_ASSIGN(seconds, parse_duration(value.as_string()));
  } else {
    return fail(Errc::malformed, "keep_alive: expected seconds or a duration like \"5m\", found {}", value.kind_name());
  }
  // Further than that is for ever, as is what is below nothing.
  return std::chrono::duration<double>(seconds >= 0 && seconds <= kLongest ? seconds : -1);
}

Result<std::string> ollama_model(const Json& body) {
  for (const std::string_view name : {"model", "name"})
    if (auto model = text_of(body, name); model && !model->empty()) return std::move(*model);
  return fail(Errc::malformed, "model: which one is not said");
}

Result<OllamaRequest> parse_ollama_request(const Json& body, OllamaCall call) {
  const bool chat = call == OllamaCall::chat;
  QUERN_TRY((chat ? ollama_shapes::chat_request() : ollama_shapes::generate_request()).check(body));
  OllamaRequest request;
  QUERN_ASSIGN(request.model, ollama_model(body));
  QUERN_TRY(chat ? read_chat(body, request) : read_generate(body, request));
  read_answer(body, request);
  QUERN_TRY(read_options(body, request));
  if (const Json* keep = member_of(body, "keep_alive")) {
    QUERN_ASSIGN(request.keep_alive, parse_keep_alive(*keep));
  }
  return request;
}

TurnRequest OllamaRequest::turn(const SamplingParams& defaults) const {
  TurnRequest turn;
  std::visit([&](const auto& wanted) { turn.prompt = wanted; }, prompt);
  turn.schema = schema;
  turn.sampling = sampling.over(defaults);
  turn.max_tokens = max_tokens;
  turn.stop = stop;
  turn.reasoning_tokens = think.value_or(true) ? thinking_tokens : 0;
  turn.top_logprobs = top_logprobs;
  return turn;
}

}  // namespace quern
