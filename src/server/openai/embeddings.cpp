// /v1/embeddings.
#include "server/embedding.h"

#include <bit>
#include <cstring>

#include "base/base64.h"
#include "server/openai/handlers.h"
#include "server/openai/request.h"
#include "server/openai/shapes.h"

namespace quern {
namespace {

constexpr size_t kMostInputs = 2048;

Json vector_json(const std::vector<float>& vector, bool base64) {
  static_assert(std::endian::native == std::endian::little);
  if (base64) return base64_encode({reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
  Json list = Json::array();
  for (const float value : vector) list.push_back(static_cast<double>(value));
  return list;
}

}  // namespace

void handle_embeddings(ServerContext& context, const ServerRequest& request, ServerResponse& response) {
  OpenAiRun run(context, request, response);
  const auto body = request_json(request, context);
  if (!body) return run.fail(openai_error(body.error()));
  if (const auto fits = openai_shapes::embedding_request().check(*body); !fits) return run.fail(openai_error(fits.error()));
  const auto inputs = read_prompts(*body->find("input"), "input", kMostInputs);
  if (!inputs) return run.fail(openai_error(inputs.error()));
  const std::string name = text_of(*body, "model").value_or("");
  const auto model = run.acquire(name);
  if (!model) return;
  const auto made = embed_texts(model, *inputs, request.client, response);
  if (!made) return run.fail(openai_error(made.error(), "input"));
  const auto hidden = static_cast<int64_t>(made->vectors.front().size());
  if (const auto dimensions = integer_of(*body, "dimensions").value_or(hidden); dimensions != hidden)
    return run.fail(
        openai_error(Error{Errc::unsupported, fmt::format("dimensions: {}: the model's embeddings have {} and cannot be shortened",
                                                          dimensions, hidden)}));
  Json data = Json::array();
  const bool base64 = text_of(*body, "encoding_format") == "base64";
  for (size_t i = 0; i < made->vectors.size(); ++i)
    data.push_back(Json::Object{
        {"object", "embedding"}, {"index", static_cast<int64_t>(i)}, {"embedding", vector_json(made->vectors[i], base64)}});
  response.notes().prompt_tokens = made->tokens;
  response.notes().finish = "stop";
  response.json(200, Json::Object{{"object", "list"},
                                  {"model", name.empty() ? model->entry.name : name},
                                  {"data", std::move(data)},
                                  {"usage", Json::Object{{"prompt_tokens", made->tokens}, {"total_tokens", made->tokens}}}});
}

}  // namespace quern
