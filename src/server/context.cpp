#include "server/context.h"

#include "base/utf8.h"

namespace quern {

Result<Json> request_json(const ServerRequest& request, const ServerContext& context) {
  if (request.body.empty()) return fail(Errc::malformed, "request: no body; expected JSON");
  auto body = Json::parse(request.body, "request", {.max_depth = context.json_depth});
  // The message may show bytes of the body, and goes into an answer that is text.
  if (!body) return fail(body.error().code, "{}", replace_invalid_utf8(body.error().message));
  return body;
}

}  // namespace quern
