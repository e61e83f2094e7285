#include "server/context.h"

namespace quern {

Result<Json> request_json(const ServerRequest& request, const ServerContext& context) {
  if (request.body.empty()) return fail(Errc::malformed, "request: no body; expected JSON");
  return Json::parse(request.body, "request", {.max_depth = context.json_depth});
}

}  // namespace quern
