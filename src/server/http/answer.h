// The answer to one request, between the thread of its handler, which fills it, and the connection, which sends what is there. Knows the
// framing of HTTP/1.1, nothing of sockets.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/http/exchange.h"

namespace quern {

class Answer : public ServerResponse {
 public:
  struct Setup {
    bool head_only = false;  // to a HEAD
    bool http10 = false;     // no chunks: the end of the connection is the end of the answer
    bool keep_alive = false;
    std::vector<std::pair<std::string, std::string>> headers;
    size_t buffered = 256 << 10;       // bytes that wait to be sent before write() waits
    bool transcript = false;           // keep all that was sent
    std::function<int()> retry_after;  // seconds, for whoever is sent away (429, 503, 529); empty: they are not told
    std::function<void()> wake;        // there is something new for the connection; from any thread, must not call back
  };
  explicit Answer(Setup setup) : setup_(std::move(setup)) {}

  // The handler's side.
  void send(int status, std::string_view content_type, std::string body) override;
  bool begin(int status, std::string_view content_type) override;
  bool write(std::string_view bytes) override;
  bool write_last(std::string_view bytes) override;
  void while_silent(std::string bytes) override;
  void header(std::string name, std::string value) override;
  bool closed() const override;
  void on_closed(std::function<void()> call) override;
  // The handler has returned. Ends an answer that was begun; `failed`: breaks it off, since what was sent is not whole.
  enum class End { whole, failed };
  void handler_done(End end);

  // The connection's side.
  std::string take();          // all that is to be sent now
  void sent(size_t bytes);     // of what was taken
  void close();                // nobody listens any more
  std::string silent() const;  // what to send in silence; empty: nothing
  void send_silent();          // adds it
  struct State {
    int status = 0;
    bool begun = false;     // something was sent or is to be
    bool complete = false;  // all of it has been taken and sent, and the handler is done
    bool handler_done = false;
    bool keep_alive = false;  // the connection can go on afterwards
    bool broken = false;      // it was broken off by the handler's failure
    size_t body = 0;          // bytes of bodies sent
    std::optional<std::chrono::steady_clock::time_point> begun_at;
  };
  State state() const;
  struct Part {
    std::chrono::steady_clock::time_point at;
    std::string bytes;
  };
  std::vector<Part> take_transcript();

 private:
  void put_head(int status, std::string_view content_type, std::optional<size_t> length);
  void put_body(std::string_view bytes);
  void put_end();
  void wake();

  const Setup setup_;
  mutable std::mutex mutex_;
  std::mutex call_mutex_;  // held while call_ runs
  std::condition_variable room_;
  std::function<void()> call_;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::string out_, silent_;
  size_t unsent_ = 0;  // taken, and not sent yet
  State state_;
  bool streaming_ = false, chunked_ = false, ended_ = false, closed_ = false;
  std::vector<Part> transcript_;
};

}  // namespace quern
