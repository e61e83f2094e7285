// HTTP/1.1 requests from bytes, strictly: what two servers could read in two ways is refused, since that is how requests are smuggled past
// one of them (RFC 9112, section 11.2). Knows nothing of sockets or time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/http/exchange.h"
#include "server/http/router.h"

namespace quern {

struct RequestLimits {
  size_t header = 32 << 10;        // bytes of the request line and the headers
  size_t fields = 100;             // headers
  size_t target = 8 << 10;         // bytes of the request line
  size_t body = size_t{64} << 20;  // bytes
};

// One request. Bytes are fed as they come; what belongs to the next request is left over.
class RequestParser {
 public:
  explicit RequestParser(const RequestLimits& limits);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  enum class State {
    nothing,   // not a byte yet
    head,      // in the request line or the headers
    body,      // the head is whole: request() has all but the body
    complete,  // request() is whole
    failed,    // problem() says why; the connection is of no further use
  };
  // Returns how many of the bytes it took. Stops where the head ends, so that the caller can look at it, and where the request ends; takes
  // everything otherwise.
  size_t feed(std::string_view bytes);
  State state() const { return state_; }
  const Problem& problem() const { return problem_; }

  // From State::body on. path, query, method, headers; the body when complete.
  ServerRequest& request() { return request_; }
  const std::string& host() const {
    return host_;
  }  // of the target or the Host header, with its port; empty in HTTP/1.0 without one
  bool keep_alive() const { return keep_alive_; }
  bool http10() const { return http10_; }
  bool expects_continue() const { return expects_continue_; }

 private:
  struct Beast;
  void fail_with(int status, std::string message);
  size_t feed_head(std::string_view bytes);
  size_t feed_body(std::string_view bytes);
  bool begin_well();  // of what there is of the head
  bool check_raw_head(std::string_view head);
  bool parse_head(std::string_view head);
  bool check_framing();
  bool take_target(std::string_view target);
  bool take_query(std::string_view query);

  RequestLimits limits_;
  std::unique_ptr<Beast> beast_;
  State state_ = State::nothing;
  Problem problem_;
  ServerRequest request_;
  std::string host_;
  std::string pending_;  // fed, and not parsed yet
  size_t scanned_ = 0;   // of pending_: there is no end of the head before it
  bool keep_alive_ = false, http10_ = false, expects_continue_ = false;
};

// %XX decoded; `plus`: + is a space. False: not well-formed, a control character, or not UTF-8.
bool decode_percent(std::string_view text, bool plus, std::string& out);

}  // namespace quern
