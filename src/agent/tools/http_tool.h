// http_request: one HTTP request to a host that the task allows. GET and HEAD of a host that is named there only read; anything else asks. Redirects are followed here and not by the client, so that each hop is
// held against the list, and every address against is_public_address, before anything is sent.
#pragma once

#include <string>
#include <vector>

#include "agent/tools/tool.h"
#include "base/http/client.h"

namespace quern {

struct HttpToolOptions {
  // "api.example.com" (any port), "api.example.com:8443", "*.example.com" (those below it), "*" (any host). Only a host that is named
  // exactly, without *, may have an address that is not public. Empty: every request is refused.
  std::vector<std::string> allowed_hosts;
  double timeout_s = 60;
  size_t max_body = size_t{8} << 20;                                       // of an answer; the model gets less of it
  std::string ca_file;                                                     // PEM, trusted besides the system's
  std::function<std::vector<IpAddress>(const std::string& host)> resolve;  // empty: the system's
};

// invalid_argument: an entry of allowed_hosts that is none of these.
Result<Tool> http_request_tool(HttpToolOptions options);

}  // namespace quern
