// An HTTP/1.1 client for one request at a time: its own name resolution, so that every address can be looked at before anything is sent
// there; TLS with certificates and host names verified; limits on whatever a server may send. A connection serves one request.
// The functions here may be called from any thread; a call blocks the thread that makes it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/http/address.h"
#include "base/http/url.h"
#include "base/result.h"

namespace quern {

class HttpHeaders {
 public:
  HttpHeaders() = default;
  HttpHeaders(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}

  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  // The first field of that name, whatever its case; nullptr: there is none.
  const std::string* find(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct HttpResponse {
  int status = 0;
  HttpHeaders headers;
  std::string body;        // empty where on_chunk took it
  bool truncated = false;  // max_body bytes of it, of more (max_body_truncates), or on_chunk wanted no more
  std::string final_url;   // after redirects

  // The media type in lower case, without parameters: "text/html"; empty: not said.
  std::string media_type() const;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  HttpHeaders headers;  // Host, Connection, Content-Length, Accept-Encoding are the client's own
  std::string body;

  double timeout_s = 60;          // of the whole exchange, redirects included; 0: none
  double idle_timeout_s = 0;      // without a byte; 0: none
  double connect_timeout_s = 10;  // for each address
  size_t max_header = 64 << 10;
  size_t max_body = 16 << 20;
  bool max_body_truncates = false;  // a longer body ends there instead of being an error
  int max_redirects = 5;            // 0: a redirect is an answer like any other

  std::function<bool()> cancelled;                       // looked at twenty times a second; empty: never
  std::function<bool(const IpAddress&)> allow_address;   // of every address, also of redirects; empty: any
  std::function<bool(const HttpResponse&)> on_head;      // of the last answer, before its body; false: its body is not wanted
  std::function<bool(std::string_view chunk)> on_chunk;  // instead of body, as it arrives; false: no more is wanted
  std::function<std::vector<IpAddress>(const std::string& host)> resolve;  // empty: the system's
  std::string ca_file;                                                     // PEM, trusted besides the system's
};

// Any status is an answer. The errors, in one line that names the host:
//   malformed    the URL; an answer that does not follow HTTP, or ends early
//   denied       allow_address refused every address; a redirect from https to http, or of a body to another host
//   out_of_range header or body too large, too many redirects
//   not_found    no such host
//   unsupported  the URL's scheme; a body that is compressed all the same
//   io           cannot connect, TLS refused, connection lost, too slow, cancelled
// A redirect to another origin is sent no header that may hold a secret: only Accept, Accept-Language, User-Agent,
// Range and If-Range.
Result<HttpResponse> http_send(const HttpRequest& request);

}  // namespace quern
