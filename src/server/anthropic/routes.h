// Anthropic's Messages API: /v1/messages and /v1/messages/count_tokens, https://docs.anthropic.com/en/api/messages
#pragma once

#include "server/context.h"
#include "server/http/router.h"

namespace quern {

void add_anthropic_routes(Router& router, ServerContext& context);

}  // namespace quern
