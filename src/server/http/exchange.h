// One request to the server and its answer, as handlers see them: nothing here knows of sockets. A handler runs on a thread that is its
// own until it returns, so it may wait (for a model, for tokens, for a slow client).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/http/client.h"
#include "base/json.h"

namespace quern {

struct ServerRequest {
  std::string method;                        // "GET"; a HEAD is given to handlers as the GET that it stands for
  std::string path;                          // decoded, without the query: "/v1/sessions/a b"
  std::map<std::string, std::string> query;  // decoded; the first of equal names
  std::map<std::string, std::string> parts;  // what stands at the {names} of the route
  HttpHeaders headers;
  std::string body;
  std::string id;      // the request's, for logs and the x-request-id header
  std::string client;  // whose: the name of the key it came with, else its address
};

// What the access log, the metrics and traces say of an exchange besides what the server sees itself; handlers fill in what they know.
struct ExchangeNotes {
  std::string model;
  int64_t prompt_tokens = -1, reused_tokens = -1, tokens = -1;  // negative: not said
  double queued_s = -1;                                         // in a model's queue; negative: not said
  std::string finish;                                           // "stop", "length", "cancelled", …; or the code of what failed
};

// Exactly one of send() or begin() is called; after begin(), write() any number of times. Errors of the connection are no errors here:
// closed() says that nobody listens any more, and everything after that does nothing.
class ServerResponse {
 public:
  virtual ~ServerResponse() = default;

  virtual void send(int status, std::string_view content_type, std::string body) = 0;
  // An answer of unknown length. write() returns when the client may be expected to take it: it waits for a slow one, and gives up
  // (closed) on one that takes nothing for the server's time limit. False: closed.
  virtual bool begin(int status, std::string_view content_type) = 0;
  virtual bool write(std::string_view bytes) = 0;
  // The last write(): the end of the answer goes out together with it, so that a client which leaves at the last event has all of it.
  virtual bool write_last(std::string_view bytes) { return write(bytes); }
  // After begin(): what is sent by itself whenever nothing else was for the server's limit of silence, so that proxies and clients keep
  // waiting. It goes out between two write()s, so each of those must be a whole event or line.
  virtual void while_silent(std::string) {}

  virtual void header(std::string name, std::string value) = 0;  // before send() or begin()
  virtual bool closed() const = 0;
  // Called once, on any thread, when the client has gone or the server gives up on it; at once if it has already. Taken back by setting
  // nothing, which waits for a call that is under way.
  virtual void on_closed(std::function<void()> call) = 0;

  ExchangeNotes& notes() { return notes_; }  // the handler's, until it returns

  void json(int status, const Json& value) { send(status, "application/json", value.dump(Json::Spacing::compact)); }

 private:
  ExchangeNotes notes_;
};

using ServerHandler = std::function<void(const ServerRequest&, ServerResponse&)>;

}  // namespace quern
