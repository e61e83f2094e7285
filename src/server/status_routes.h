// /health and /metrics: how the server is doing.
#pragma once

#include <functional>

#include "server/context.h"
#include "server/http/router.h"
#include "server/metrics.h"

namespace quern {

struct ServerHealth {
  int64_t connections = 0, requests = 0;
  double uptime_s = 0;
  bool loading = false;  // models that are to be there from the start are not yet
  bool draining = false;
};

// GET /health needs no key: 200 {"status": "ok"}, or 503 with "loading" or "draining". GET /metrics is Metrics::text.
void add_status_routes(Router& router, ServerContext& context, std::function<ServerHealth()> health);

}  // namespace quern
