#include "server/status_routes.h"

namespace quern {

void add_status_routes(Router& router, ServerContext& context, std::function<ServerHealth()> health) {
  router.add("GET", "/health",
             [health](const ServerRequest&, ServerResponse& response) {
               const ServerHealth now = health();
               Json body = Json::object();
               body["status"] = now.draining ? "draining" : now.loading ? "loading" : "ok";
               response.header("cache-control", "no-store");
               response.json(now.draining || now.loading ? 503 : 200, body);
             },
             {.open = true, .light = true});
  router.add("GET", "/metrics",
             [&context, health](const ServerRequest&, ServerResponse& response) {
               const ServerHealth now = health();
               response.send(200, "text/plain; version=0.0.4; charset=utf-8",
                             context.metrics.text({.connections = now.connections,
                                                   .requests = now.requests,
                                                   .uptime_s = now.uptime_s,
                                                   .version = context.version,
                                                   .models = context.models.list()}));
             },
             {.light = true});
}

}  // namespace quern
