// One request and its answer on one connection: what client.cpp's redirects are made of. Only exchange.cpp includes Asio and Beast.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/http/client.h"

namespace quern {

struct HttpExchange {
  const HttpRequest& limits;  // for its limits and functions; what is sent stands below
  const Url& url;
  std::string_view method, body;
  const HttpHeaders& headers;
  std::optional<std::chrono::steady_clock::time_point> deadline;
  std::function<bool(const HttpResponse&)> on_head;  // false: the body is not wanted
};

Result<HttpResponse> http_exchange(const HttpExchange& exchange);

}  // namespace quern
