#include "server/api.h"

#include "server/anthropic/routes.h"
#include "server/native/routes.h"
#include "server/ollama/routes.h"
#include "server/openai/routes.h"
#include "server/openapi.h"

namespace quern {

Result<void> add_api_routes(Router& router, ServerContext& context) {
  QUERN_TRY(add_openai_routes(router, context));
  add_anthropic_routes(router, context);
  add_ollama_routes(router, context);
  add_text_routes(router, context);
  add_session_routes(router, context);
  add_openapi_route(router, context);
  return {};
}

}  // namespace quern
