// Parts that requests of the server's own API have in common.
#pragma once

#include <optional>
#include <vector>

#include "server/context.h"
#include "server/http/router.h"
#include "server/shape.h"
#include "server/turn.h"

namespace quern {

// The body, as its shape says; without one: {}.
Result<Json> native_body(const ServerRequest& request, const ServerContext& context, const Shape& shape);
// The model that "model" names, or the default one. A client that goes away gives up waiting for it.
Result<std::shared_ptr<ServedModel>> acquire_for(const Json& body, const ServerContext& context, ServerResponse& response);
Result<const Tokenizer*> tokenizer_of(const ServedModel& model);
// Tokens of the model; none when there is no such member.
Result<std::vector<int32_t>> token_field(const Json& body, std::string_view name, const Engine& engine);
void send_native_error(const Router& router, const ServerRequest& request, ServerResponse& response, const Error& error);

}  // namespace quern
