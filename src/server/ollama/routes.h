// Ollama's API, https://github.com/ollama/ollama/blob/main/docs/api.md, as far as it asks for answers and about models. Getting, making and
// deleting models is the command line's.
#pragma once

#include "server/context.h"
#include "server/http/router.h"

namespace quern {

void add_ollama_routes(Router& router, ServerContext& context);

}  // namespace quern
