#include "agent/mcp/model_tools.h"

#include <algorithm>

#include "agent/engine_model.h"
#include "text/assistant_parser.h"

namespace quern {
namespace {

constexpr int64_t kMaxTokens = 1 << 20;

Json property(std::string_view type, std::string_view description) {
  return json_object({{"type", type}, {"description", description}});
}
Json bounded(std::string_view type, std::string_view description, Json minimum, Json maximum) {
  Json schema = property(type, description);
  schema["minimum"] = std::move(minimum);
  schema["maximum"] = std::move(maximum);
  return schema;
}
Json object_schema(Json properties, std::vector<Json> required) {
  return json_object({{"type", "object"},
                      {"properties", std::move(properties)},
                      {"required", Json(std::move(required))},
                      {"additionalProperties", false}});
}

Json model_property(const ModelShelf& shelf) {
  Json names = Json::array();
  for (const ShelfModel& entry : shelf.entries()) names.push_back(entry.name);
  Json schema = property("string", fmt::format("Which model; absent: {}", shelf.entries().front().name));
  schema["enum"] = std::move(names);
  return schema;
}

// What generate and ask_with_schema have in common.
Json common_properties(const ModelShelf& shelf) {
  return json_object(
      {{"prompt", property("string", "What the model is asked")},
       {"system", property("string", "Instructions that stand before it")},
       {"max_tokens", bounded("integer", "The answer is cut there; absent: 1024", 1, kMaxTokens)},
       {"temperature", bounded("number", "0 always takes the likeliest token; absent: as the model recommends", 0, 100)},
       {"seed", bounded("integer", "Of the random choices; absent: 0", 0, int64_t{1} << 53)},
       {"model", model_property(shelf)}});
}

int64_t int_member(const Json& object, std::string_view key, int64_t otherwise) {
  const Json* member = object.find(key);
  return member ? member->to_int64().value_or(otherwise) : otherwise;
}

TextRequest request_of(const Json& arguments) {
  TextRequest request;
  request.prompt = string_member(arguments, "prompt");
  request.system = string_member(arguments, "system");
  request.raw = bool_member(arguments, "raw", false);
  request.max_tokens = int_member(arguments, "max_tokens", request.max_tokens);
  request.seed = static_cast<uint64_t>(int_member(arguments, "seed", 0));
  if (const Json* temperature = arguments.find("temperature")) request.temperature = temperature->as_double();
  if (const Json* stop = arguments.find("stop"))
    for (const Json& one : stop->as_array()) request.stop.push_back(one.as_string());
  return request;
}

std::string_view finish_name(FinishReason finish) {
  constexpr std::string_view kNames[] = {"stop", "length", "context", "cancelled"};
  return kNames[static_cast<size_t>(finish)];
}

Result<TextAnswer> ask(ModelShelf& shelf, const Json& arguments, const TextRequest& request, const ServiceCall& call) {
  call.progress(0, request.max_tokens, "loading the model");
  QUERN_ASSIGN(TextModel * model, shelf.get(string_member(arguments, "model")));
  QUERN_ASSIGN(TextAnswer answer, model->generate(request, [&](int64_t tokens) {
    call.progress(tokens, request.max_tokens, tokens == 0 ? "reading the prompt" : "");
    return !call.cancelled();
  }));
  if (answer.finish == FinishReason::context)
    return fail(Errc::out_of_range, "the prompt has {} tokens, the model's context {}", answer.prompt_tokens, model->context());
  return answer;
}

Json structured(const TextAnswer& answer) {
  Json out = json_object({{"text", answer.text},
                          {"finish_reason", finish_name(answer.finish)},
                          {"prompt_tokens", answer.prompt_tokens},
                          {"tokens", answer.tokens},
                          {"seconds", answer.prefill_s + answer.decode_s}});
  if (!answer.reasoning.empty()) out["reasoning"] = answer.reasoning;
  return out;
}

ServiceTool generate_tool(ModelShelf& shelf) {
  ServiceTool tool;
  tool.name = "generate";
  tool.description = "Asks a language model on this machine. It sees nothing but the prompt. Returns its answer.";
  Json properties = common_properties(shelf);
  properties["raw"] = property("boolean", "Continue the prompt as it stands instead of answering it");
  Json stop = property("array", "The answer ends before any of these texts");
  stop["items"] = json_object({{"type", "string"}, {"minLength", 1}});
  stop["maxItems"] = 16;
  properties["stop"] = std::move(stop);
  tool.input_schema = object_schema(std::move(properties), {"prompt"});
  tool.run = [&shelf](const Json& arguments, const ServiceCall& call) -> Result<ServiceAnswer> {
    const TextRequest request = request_of(arguments);
    if (request.raw && !request.system.empty())
      return fail(Errc::invalid_argument, "raw: a prompt that is continued as it stands has no system instructions");
    QUERN_ASSIGN(const TextAnswer answer, ask(shelf, arguments, request, call));
    return ServiceAnswer{answer.text, structured(answer)};
  };
  return tool;
}

ServiceTool schema_tool(ModelShelf& shelf) {
  ServiceTool tool;
  tool.name = "ask_with_schema";
  tool.description =
      "Asks a language model on this machine for JSON. It cannot write anything but JSON that satisfies the schema; a schema that cannot "
      "be enforced exactly is refused. Returns that JSON.";
  Json properties = common_properties(shelf);
  properties["schema"] = property("object", "JSON Schema (2020-12) of the answer");
  tool.input_schema = object_schema(std::move(properties), {"prompt", "schema"});
  tool.run = [&shelf](const Json& arguments, const ServiceCall& call) -> Result<ServiceAnswer> {
    TextRequest request = request_of(arguments);
    request.schema = *arguments.find("schema");
    QUERN_ASSIGN(const TextAnswer answer, ask(shelf, arguments, request, call));
    if (answer.finish != FinishReason::stop)
      return fail(Errc::out_of_range, "the answer was cut after {} tokens: {}", answer.tokens, answer.text);
    QUERN_ASSIGN(Json value, Json::parse(answer.text, "answer"));
    std::string text = value.dump();
    return ServiceAnswer{std::move(text), json_object({{"value", std::move(value)}, {"tokens", answer.tokens}})};
  };
  return tool;
}

ServiceTool count_tool(ModelShelf& shelf) {
  ServiceTool tool;
  tool.name = "count_tokens";
  tool.description = "How many tokens a text is for a language model on this machine.";
  tool.input_schema =
      object_schema(json_object({{"text", property("string", "The text")}, {"model", model_property(shelf)}}), {"text"});
  tool.run = [&shelf](const Json& arguments, const ServiceCall&) -> Result<ServiceAnswer> {
    QUERN_ASSIGN(TextModel * model, shelf.get(string_member(arguments, "model")));
    QUERN_ASSIGN(const int64_t tokens, model->count_tokens(string_member(arguments, "text")));
    return ServiceAnswer{std::to_string(tokens), json_object({{"tokens", tokens}, {"context", model->context()}})};
  };
  return tool;
}

Json models_json(const ModelShelf& shelf) {
  Json::Array all;
  for (const ShelfModel& entry : shelf.entries()) all.push_back(json_object({{"name", entry.name}, {"path", entry.path}}));
  return json_object({{"models", Json(std::move(all))}});
}

ServiceTool list_tool(const ModelShelf& shelf) {
  ServiceTool tool;
  tool.name = "list_models";
  tool.description = "The language models of this machine that the other tools can use; the first is used where none is named.";
  tool.input_schema = object_schema(Json::object(), {});
  tool.run = [&shelf](const Json&, const ServiceCall&) -> Result<ServiceAnswer> {
    std::string names;
    for (const ShelfModel& entry : shelf.entries()) names += entry.name + "\n";
    return ServiceAnswer{std::move(names), models_json(shelf)};
  };
  return tool;
}

class EngineText : public TextModel {
 public:
  explicit EngineText(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  Result<TextAnswer> generate(const TextRequest& request, const std::function<bool(int64_t)>& on_progress) override {
    return request.raw ? continue_text(request, on_progress) : answer(request, on_progress);
  }
  Result<int64_t> count_tokens(const std::string& text) override {
    QUERN_ASSIGN(const auto ids, engine_->tokenizer()->encode(Prompt{{text, /*trusted=*/false}}));
    return static_cast<int64_t>(ids.size());
  }
  int64_t context() const override { return engine_->context(); }

 private:
  SamplingParams sampling(const TextRequest& request) const {
    SamplingParams params = engine_->default_sampling();
    if (request.temperature) params.temperature = *request.temperature;
    params.seed = request.seed;
    return params;
  }

  Result<TextAnswer> answer(const TextRequest& request, const std::function<bool(int64_t)>& on_progress) {
    QUERN_ASSIGN(const auto model, EngineModel::create(*engine_, {.sampling = sampling(request)}));
    Conversation conversation;
    for (const auto& [role, content] : {std::pair(Role::system, &request.system), {Role::user, &request.prompt}}) {
      if (role == Role::system && content->empty()) continue;
      Message message;
      message.role = role;
      message.content = *content;
      conversation.messages.push_back(std::move(message));
    }
    conversation.answer_schema = request.schema;
    int64_t tokens = 0;
    std::string so_far;
    bool stopped = false;
    QUERN_ASSIGN(Reply reply, model->reply(conversation, request.max_tokens, [&](std::string_view text) {
      so_far += text;
      stopped = cut_at_stop(so_far, request.stop);
      return on_progress(text.empty() ? tokens : ++tokens) && !stopped;
    }));
    AssistantTurn said = parse_assistant(reply.text, model->format(), {});
    TextAnswer answer{.text = std::move(said.content),
                      .reasoning = std::move(said.reasoning),
                      .finish = stopped ? FinishReason::stop : reply.finish,
                      .prompt_tokens = reply.prompt_tokens,
                      .tokens = reply.tokens,
                      .prefill_s = reply.prefill_s,
                      .decode_s = reply.decode_s};
    cut_at_stop(answer.text, request.stop);
    return answer;
  }

  Result<TextAnswer> continue_text(const TextRequest& request, const std::function<bool(int64_t)>& on_progress) {
    GenerateRequest generate;
    QUERN_ASSIGN(generate.prompt, engine_->tokenizer()->encode(Prompt{{request.prompt, /*trusted=*/false}}));
    if (generate.prompt.empty()) return fail(Errc::invalid_argument, "the prompt is empty");
    generate.sampling = sampling(request);
    generate.max_tokens = request.max_tokens;
    generate.stop = request.stop;
    generate.on_prefill = [&](int64_t, int64_t) { return on_progress(0); };
    generate.on_token = [&, tokens = int64_t{0}](const GeneratedToken& token) mutable {
      return on_progress(tokens += token.id >= 0 ? 1 : 0);
    };
    Session session(*engine_);
    QUERN_ASSIGN(Generation made, session.generate(generate));
    return TextAnswer{.text = std::move(made.text),
                      .finish = made.finish,
                      .prompt_tokens = made.prompt_tokens,
                      .tokens = static_cast<int64_t>(made.tokens.size()),
                      .prefill_s = made.prefill_s,
                      .decode_s = made.decode_s};
  }

  static bool cut_at_stop(std::string& text, const std::vector<std::string>& stop) {
    size_t first = std::string::npos;
    for (const std::string& one : stop) first = std::min(first, text.find(one));
    if (first == std::string::npos) return false;
    text.resize(first);
    return true;
  }

  std::unique_ptr<Engine> engine_;
};

}  // namespace

Result<TextModel*> ModelShelf::get(const std::string& name) {
  const std::string& wanted = name.empty() ? entries_.front().name : name;
  const auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const ShelfModel& e) { return e.name == wanted; });
  if (entry == entries_.end()) return fail(Errc::not_found, "there is no model {}", wanted);
  if (model_ && loaded_ == wanted) return model_.get();
  model_.reset();  // before the other is loaded: there may be room for one only
  QUERN_ASSIGN(model_, open_(*entry));
  loaded_ = wanted;
  return model_.get();
}

std::vector<ServiceTool> model_tools(ModelShelf& shelf) {
  return {generate_tool(shelf), schema_tool(shelf), count_tool(shelf), list_tool(shelf)};
}

ServiceResource models_resource(const ModelShelf& shelf) {
  return {"quern://models", "models", "The models that quern's tools can use", [&shelf] { return models_json(shelf); }};
}

Result<std::unique_ptr<TextModel>> open_text_model(const EngineOptions& options) {
  QUERN_ASSIGN(auto engine, Engine::load(options));
  if (!engine->tokenizer()) return fail(Errc::not_found, "{}: no tokenizer: it cannot read text", options.model.string());
  return std::make_unique<EngineText>(std::move(engine));
}

}  // namespace quern
