// The HTTP server: listens, keeps connections within limits, lets in who may, and runs the router's handlers. One thread does all the
// waiting for sockets; each handler has a thread of its own while it runs.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/http/access.h"
#include "server/http/record.h"
#include "server/http/request_parser.h"
#include "server/http/router.h"

namespace quern {

// Times are in seconds; 0: no limit.
struct HttpLimits {
  RequestLimits request;
  size_t bodies = size_t{1} << 30;  // bytes of bodies that are being read or answered, of all requests together
  double handshake_s = 10;          // for TLS
  double header_s = 15;             // from a request's first byte to the end of its header
  double body_s = 300;              // for the body after it
  double idle_s = 75;               // between two requests
  double write_s = 30;              // for a client to take 64 KiB of an answer, or the rest of it
  double exchange_s = 0;            // from a request's first byte to its answer's last
  double silence_s = 15;            // after which a stream sends a sign of life
  size_t connections = 2048, per_address = 1024;
  size_t handlers = 1024;  // requests that are handled at the same time; more are told to come back
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";           // a name or an address
  uint16_t port = 0;                        // 0: any free one
  std::filesystem::path tls_cert, tls_key;  // PEM; both or none
  std::vector<ApiKey> keys;
  std::vector<std::string> allowed_hosts;  // besides the name and addresses it listens on
  std::vector<std::string> origins;        // "https://example.org", or "*"
  HttpLimits limits;
  // At the end of each exchange, on the thread that serves all sockets: it hands on and returns.
  std::function<void(const ExchangeRecord&)> on_exchange;
  bool transcripts = false;  // records have them
  // Seconds that somebody who is sent away (429, 503) is told to wait; from any thread.
  std::function<int()> retry_after = [] { return 1; };
};

class HttpServer {
 public:
  // Listens from then on. invalid_argument: not on a loopback address and without keys; a certificate that cannot be used; io: the address.
  // The router must outlive the server.
  static Result<std::unique_ptr<HttpServer>> start(const Router& router, HttpServerOptions options);
  ~HttpServer();  // closes everything, and waits for the handlers

  uint16_t port() const;
  std::string url() const;  // http://127.0.0.1:8080

  // Listens no more, closes what is idle and refuses new requests (503), but for light routes. True: what was running came to its end
  // within the time.
  bool drain(double seconds);
  bool draining() const;

  int64_t connections() const;
  int64_t requests() const;  // being handled

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern
