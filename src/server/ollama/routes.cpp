#include "server/ollama/routes.h"

#include <cmath>

#include "server/embedding.h"
#include "server/http/status.h"
#include "server/ollama/answer.h"
#include "server/ollama/models.h"
#include "server/ollama/request.h"
#include "server/ollama/shapes.h"
#include "server/turn_pump.h"

namespace quern {
namespace {

// Of Ollama, the version whose API this is: clients look for a least one.
constexpr std::string_view kApiVersion = "0.13.0";

std::string line_of(const Json& json) { return json.dump(Json::Spacing::compact) + "\n"; }

// One request that may run a turn, from its body to its answer.
class OllamaExchange {
 public:
  OllamaExchange(const Router& router, ServerContext& context, const ServerRequest& request, ServerResponse& response)
      : router_(router), context_(context), request_(request), response_(response) {}

  void generate(OllamaCall call) {
    if (const auto done = try_generate(call); !done) fail_with(done.error());
  }
  void embed(bool several) {
    if (const auto done = try_embed(several); !done) fail_with(done.error());
  }
  void show(OllamaModels& models) {
    if (const auto done = try_show(models); !done) fail_with(done.error());
  }

 private:
  Result<void> try_generate(OllamaCall call);
  Result<void> only_load(const OllamaRequest& wanted, OllamaAnswer& answer);
  Result<void> run(std::shared_ptr<ServedModel> model, const OllamaRequest& wanted, OllamaAnswer& answer);
  Result<void> try_embed(bool several);
  Result<void> try_show(OllamaModels& models);
  Result<std::shared_ptr<ServedModel>> acquire(const std::string& name);
  void fail_with(const Error& error);

  const Router& router_;
  ServerContext& context_;
  const ServerRequest& request_;
  ServerResponse& response_;
  bool begun_ = false;
};

Result<std::shared_ptr<ServedModel>> OllamaExchange::acquire(const std::string& name) {
  QUERN_ASSIGN(auto model, context_.models.acquire(name, [&] { return !response_.closed(); }));
  response_.notes().model = model->entry.name;
  return model;
}

Result<void> OllamaExchange::try_generate(OllamaCall call) {
  QUERN_ASSIGN(const Json body, request_json(request_, context_));
  QUERN_ASSIGN(const OllamaRequest wanted, parse_ollama_request(body, call));
  OllamaAnswer answer({.call = call, .model = wanted.model, .thinking = wanted.think.value_or(true)});
  if (wanted.only_load) return only_load(wanted, answer);
  QUERN_ASSIGN(auto model, acquire(wanted.model));
  if (wanted.keep_alive) QUERN_TRY(context_.models.keep(model->entry.name, *wanted.keep_alive));
  answer.loaded();
  return run(std::move(model), wanted, answer);
}

Result<void> OllamaExchange::only_load(const OllamaRequest& wanted, OllamaAnswer& answer) {
  const bool unload = wanted.keep_alive && wanted.keep_alive->count() == 0;
  if (unload) {
    QUERN_ASSIGN(const std::string name, context_.models.resolve(wanted.model));
    QUERN_TRY(context_.models.unload(name));
  } else {
    QUERN_ASSIGN(const auto model, acquire(wanted.model));
    if (wanted.keep_alive) QUERN_TRY(context_.models.keep(model->entry.name, *wanted.keep_alive));
  }
  response_.json(200, answer.nothing(unload ? "unload" : "load"));
  return {};
}

Result<void> OllamaExchange::run(std::shared_ptr<ServedModel> model, const OllamaRequest& wanted, OllamaAnswer& answer) {
  if (wanted.think.value_or(false) && model->engine->chat_format() != ChatFormat::thinking)
    return fail(Errc::invalid_argument, "{} does not support thinking", wanted.model);
  TurnRequest turn = wanted.turn(model->engine->default_sampling());
  turn.move_volatile = context_.move_volatile;
  turn.client = request_.client;
  QUERN_ASSIGN(TurnStream stream, begin_turn(std::move(model), std::move(turn)));
  if (wanted.stream) {
    begun_ = true;
    response_.begin(200, "application/x-ndjson");
    pump_turn(stream, response_, [&](const TurnUpdate& update) {
      std::string lines;
      for (const Json& json : answer.on(update)) lines += line_of(json);
      return !response_.closed() && (lines.empty() || response_.write(lines));
    });
    return {};
  }
  std::optional<Error> failed;
  pump_turn(stream, response_, [&](const TurnUpdate& update) {
    if (const auto* failure = std::get_if<TurnFailed>(&update)) failed = failure->error;
    answer.on(update);
    return true;
  });
  if (failed) return tl::unexpected(*failed);
  response_.json(200, answer.whole());
  return {};
}

Result<void> OllamaExchange::try_show(OllamaModels& models) {
  QUERN_ASSIGN(const Json body, request_json(request_, context_));
  QUERN_TRY(ollama_shapes::show_request().check(body));
  QUERN_ASSIGN(const std::string wanted, ollama_model(body));
  QUERN_ASSIGN(const std::string name, context_.models.resolve(wanted));
  for (const ModelState& model : context_.models.list())
    if (model.entry.name == name) response_.json(200, models.show(model));
  return {};
}

void OllamaExchange::fail_with(const Error& error) {
  const int status = http_status(error.code);
  if (begun_) {
    response_.notes().finish = problem_code(status);
    response_.write(line_of(Json::Object{{"error", error.message}}));
  } else {
    router_.send_problem(request_, response_,
                         {.status = status, .code = std::string(problem_code(status)), .message = error.message});
  }
}

// The input's texts, and a vector of one length for each.
std::vector<std::variant<std::string, std::vector<int32_t>>> texts_of(const Json& input) {
  std::vector<std::variant<std::string, std::vector<int32_t>>> texts;
  if (input.is_string()) return {input.as_string()};
  for (const Json& text : input.as_array()) texts.emplace_back(text.as_string());
  return texts;
}
Json unit_vector(const std::vector<float>& vector) {
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * static_cast<double>(x);
  const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
  Json::Array unit;
  for (const float x : vector) unit.emplace_back(static_cast<double>(x) * scale);
  return unit;
}

Result<void> OllamaExchange::try_embed(bool several) {
  const auto begun = std::chrono::steady_clock::now();
  QUERN_ASSIGN(const Json body, request_json(request_, context_));
  QUERN_TRY((several ? ollama_shapes::embed_request() : ollama_shapes::embeddings_request()).check(body));
  QUERN_ASSIGN(const std::string name, ollama_model(body));
  QUERN_ASSIGN(const auto model, acquire(name));
  const auto loaded = std::chrono::steady_clock::now();
  if (const Json* keep = member_of(body, "keep_alive")) {
    QUERN_ASSIGN(const auto time, parse_keep_alive(*keep));
    QUERN_TRY(context_.models.keep(model->entry.name, time));
  }
  QUERN_ASSIGN(const Embeddings made,
               embed_texts(model, texts_of(*body.find(several ? "input" : "prompt")), request_.client, response_));
  Json vectors = Json::array();
  for (const std::vector<float>& vector : made.vectors) vectors.push_back(unit_vector(vector));
  if (!several) {
    response_.json(200, Json::Object{{"embedding", vectors.as_array()[0]}});
    return {};
  }
  const auto nanoseconds = [](auto duration) { return int64_t{std::chrono::nanoseconds(duration).count()}; };
  response_.json(200, Json::Object{{"model", name},
                                   {"embeddings", std::move(vectors)},
                                   {"total_duration", nanoseconds(std::chrono::steady_clock::now() - begun)},
                                   {"load_duration", nanoseconds(loaded - begun)},
                                   {"prompt_eval_count", made.tokens}});
  return {};
}

void add_refusals(Router& router) {
  struct Refusal {
    std::string_view method, path, instead;
  };
  static constexpr Refusal refusals[] = {
      {"POST", "/api/pull", "put the model's folder where --models looks, or name it with --model NAME=PATH"},
      {"POST", "/api/push", "copy the model's folder"},
      {"POST", "/api/create", "make models with `quern quantize IN OUT --format F`"},
      {"DELETE", "/api/delete", "delete the model's folder, and start the server without it"},
      {"POST", "/api/copy", "give a second name with --model NAME=PATH"},
  };
  for (const Refusal& refusal : refusals)
    router.add(std::string(refusal.method), std::string(refusal.path),
               [&router, refusal](const ServerRequest& request, ServerResponse& response) {
                 router.send_problem(request, response,
                                     {.status = 501,
                                      .code = "unsupported",
                                      .message = fmt::format("models are not changed over HTTP: {}", refusal.instead)});
               });
}

}  // namespace

void add_ollama_routes(Router& router, ServerContext& context) {
  router.shape_problems("/api/", [](const Problem& problem) { return Json(Json::Object{{"error", problem.message}}); });
  const auto add = [&](const char* path, void (*answer)(OllamaExchange&)) {
    router.add("POST", path, [&router, &context, answer](const ServerRequest& request, ServerResponse& response) {
      OllamaExchange exchange(router, context, request, response);
      answer(exchange);
    });
  };
  add("/api/chat", [](OllamaExchange& exchange) { exchange.generate(OllamaCall::chat); });
  add("/api/generate", [](OllamaExchange& exchange) { exchange.generate(OllamaCall::generate); });
  add("/api/embed", [](OllamaExchange& exchange) { exchange.embed(true); });
  add("/api/embeddings", [](OllamaExchange& exchange) { exchange.embed(false); });

  const auto models = std::make_shared<OllamaModels>();
  router.add("GET", "/api/tags", [&context, models](const ServerRequest&, ServerResponse& response) {
    response.json(200, models->tags(context.models.list()));
  });
  router.add("GET", "/api/ps", [&context, models](const ServerRequest&, ServerResponse& response) {
    response.json(200, models->running(context.models.list()));
  });
  router.add("POST", "/api/show", [&router, &context, models](const ServerRequest& request, ServerResponse& response) {
    OllamaExchange(router, context, request, response).show(*models);
  });
  router.add("GET", "/api/version",
             [&context](const ServerRequest&, ServerResponse& response) {
               response.json(200, Json::Object{{"version", kApiVersion}, {"quern", context.version}});
             },
             {.light = true});
  add_refusals(router);
}

}  // namespace quern
