// Every API that the server speaks.
#pragma once

#include "server/context.h"
#include "server/http/router.h"

namespace quern {

// OpenAI's, Anthropic's, Ollama's and the server's own, with /openapi.json; /health and /metrics are add_status_routes' (status_routes.h).
// Errors: those of the file that answers of /v1/responses are kept in.
Result<void> add_api_routes(Router& router, ServerContext& context);

}  // namespace quern
