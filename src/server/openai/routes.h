// OpenAI's API: chat completions, completions, responses, models and embeddings. https://platform.openai.com/docs/api-reference
#pragma once

#include "server/context.h"
#include "server/http/router.h"

namespace quern {

// Errors: those of the file that answers of /v1/responses are kept in.
Result<void> add_openai_routes(Router& router, ServerContext& context);

}  // namespace quern
