#include "server/openai/routes.h"

#include "server/openai/handlers.h"

namespace quern {

Result<void> add_openai_routes(Router& router, ServerContext& context) {
  router.shape_problems("/v1/", [](const Problem& problem) { return openai_error(problem).body(); });
  const auto add = [&](const char* method, const char* path, void (*handle)(ServerContext&, const ServerRequest&, ServerResponse&),
                       RouteTraits traits = {}) {
    router.add(
        method, path,
        [&context, handle](const ServerRequest& request, ServerResponse& response) { handle(context, request, response); }, traits);
  };
  add("POST", "/v1/chat/completions", handle_chat);
  add("POST", "/v1/completions", handle_completion);
  add("POST", "/v1/embeddings", handle_embeddings);
  add("GET", "/v1/models", handle_models, {.light = true});
  add("GET", "/v1/models/{id...}", handle_model, {.light = true});

  QUERN_ASSIGN(auto opened,
               ResponseStore::open(context.data.empty() ? context.data : context.data / "responses" / "responses.db", {}));
  const std::shared_ptr<ResponseStore> store = std::move(opened);
  router.add("POST", "/v1/responses", [&context, store](const ServerRequest& request, ServerResponse& response) {
    handle_response(context, *store, request, response);
  });
  router.add("POST", "/v1/responses/input_tokens", [&context, store](const ServerRequest& request, ServerResponse& response) {
    handle_response_tokens(context, *store, request, response);
  });
  const auto add_stored = [&](const char* method, const char* path,
                              void (*handle)(ResponseStore&, const ServerRequest&, ServerResponse&)) {
    router.add(method, path,
               [store, handle](const ServerRequest& request, ServerResponse& response) { handle(*store, request, response); },
               {.light = true});
  };
  add_stored("GET", "/v1/responses/{id}", handle_stored_response);
  add_stored("DELETE", "/v1/responses/{id}", handle_deleted_response);
  add_stored("GET", "/v1/responses/{id}/input_items", handle_response_items);
  return {};
}

}  // namespace quern
