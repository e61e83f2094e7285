// An answer that keeps what a handler did, for tests of handlers without sockets.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/http/exchange.h"
#include "server/http/router.h"

namespace quern {

class FakeResponse : public ServerResponse {
 public:
  // The client goes away after this many write()s; negative: never.
  explicit FakeResponse(int writes = -1) : writes_left_(writes) {}

  void send(int status, std::string_view content_type, std::string body) override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(status_, 0) << "a second answer";
    status_ = status, type_ = content_type, body_ = std::move(body);
  }
  bool begin(int status, std::string_view content_type) override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(status_, 0) << "a second answer";
    status_ = status, type_ = content_type, begun_ = true;
    return !closed_;
  }
  bool write(std::string_view bytes) override {
    {
      const std::lock_guard lock(mutex_);
      EXPECT_TRUE(begun_) << "write() before begin()";
      if (closed_) return false;
      body_ += bytes;
      writes_.emplace_back(bytes);
      written_.notify_all();
      if (writes_left_ < 0 || --writes_left_ > 0) return true;
    }
    close();
    return false;
  }
  void while_silent(std::string bytes) override { silent_ = std::move(bytes); }
  void header(std::string name, std::string value) override {
    EXPECT_EQ(status_, 0) << "a header after the answer has begun";
    headers_.add(std::move(name), std::move(value));
  }
  bool closed() const override {
    const std::lock_guard lock(mutex_);
    return closed_;
  }
  void on_closed(std::function<void()> call) override {
    const std::lock_guard calling(call_mutex_);
    bool now = false;
    {
      const std::lock_guard lock(mutex_);
      now = closed_;
    }
    if (now && call)
      call();
    else
      call_ = std::move(call);
  }

  // What a client does: from any thread.
  void close() {
    const std::lock_guard calling(call_mutex_);
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(closed_, true)) return;
    }
    if (const auto call = std::exchange(call_, nullptr)) call();
  }
  void wait_for_writes(size_t count) {
    std::unique_lock lock(mutex_);
    written_.wait(lock, [&] { return writes_.size() >= count; });
  }

  // What the handler did; after it returned.
  int status() const { return status_; }
  const std::string& type() const { return type_; }
  const std::string& body() const { return body_; }
  const HttpHeaders& headers() const { return headers_; }
  const std::vector<std::string>& writes() const { return writes_; }
  const std::string& silent() const { return silent_; }
  bool begun() const { return begun_; }
  Json json_body() const {
    auto parsed = Json::parse(body_, "answer");
    EXPECT_TRUE(parsed) << body_;
    return parsed ? std::move(*parsed) : Json();
  }
  // The data of the events of a text/event-stream, in order; comments left out.
  std::vector<std::string> events() const {
    std::vector<std::string> all;
    for (size_t at = 0, end; (end = body_.find("\n\n", at)) != std::string::npos; at = end + 2)
      if (const size_t data = body_.find("data: ", at); data < end) all.push_back(body_.substr(data + 6, end - data - 6));
    return all;
  }

 private:
  mutable std::mutex mutex_;
  std::mutex call_mutex_;  // held while call_ runs
  std::condition_variable written_;
  std::function<void()> call_;
  bool closed_ = false, begun_ = false;
  int writes_left_, status_ = 0;
  std::string type_, body_, silent_;
  HttpHeaders headers_;
  std::vector<std::string> writes_;
};

inline ServerRequest make_request(std::string method, std::string path, std::string body = "") {
  return {.method = std::move(method), .path = std::move(path), .body = std::move(body), .id = "req_test", .client = "test"};
}
// The router's answer to it.
inline void ask(const Router& router, ServerResponse& response, std::string method, std::string path, std::string body = "") {
  router.dispatch(make_request(std::move(method), std::move(path), std::move(body)), response);
}

}  // namespace quern
