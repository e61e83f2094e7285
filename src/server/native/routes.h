// The server's own part of the API: text and tokens of its models, and live sessions that go on without being read again.
#pragma once

#include "server/context.h"
#include "server/http/router.h"

namespace quern {

// /tokenize, /detokenize, /apply-template, /props
void add_text_routes(Router& router, ServerContext& context);
// /v1/sessions and what is below it
void add_session_routes(Router& router, ServerContext& context);

}  // namespace quern
