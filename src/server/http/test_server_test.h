// A server of one test on 127.0.0.1, raw sockets to it, and plain requests by the HTTP client.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "base/http/client.h"
#include "server/http/server.h"

namespace quern {

class TestHttpServer {
 public:
  explicit TestHttpServer(const Router& router, HttpServerOptions options = {}) {
    auto started = HttpServer::start(router, std::move(options));
    EXPECT_TRUE(started) << started.error().message;
    if (started) server_ = std::move(*started);
  }
  HttpServer& operator*() const { return *server_; }
  HttpServer* operator->() const { return server_.get(); }
  void stop() { server_.reset(); }
  uint16_t port() const { return server_->port(); }
  std::string url(std::string_view path) const { return fmt::format("{}{}", server_->url(), path); }

  Result<HttpResponse> get(std::string_view path, HttpHeaders headers = {}) const {
    return http_send({.url = url(path), .headers = std::move(headers), .timeout_s = 30});
  }
  Result<HttpResponse> post(std::string_view path, std::string body, HttpHeaders headers = {}) const {
    return http_send({.method = "POST", .url = url(path), .headers = std::move(headers), .body = std::move(body), .timeout_s = 30});
  }

 private:
  std::unique_ptr<HttpServer> server_;
};

// A client that says exactly what a test tells it to.
class RawClient {
 public:
  explicit RawClient(uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t put = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (put <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(put));
    }
    return true;
  }
  // Until `what` has come, or the server closes, or nothing comes for ten seconds. What came up to it; the rest stays for the next call.
  std::string read_until(std::string_view what) {
    size_t at = 0;
    while ((at = pending_.find(what)) == std::string::npos && more()) {
    }
    const size_t end = at == std::string::npos ? pending_.size() : at + what.size();
    std::string out = pending_.substr(0, end);
    pending_.erase(0, end);
    return out;
  }
  // All that comes until the server closes.
  std::string read_all() {
    while (more()) {
    }
    return std::exchange(pending_, {});
  }
  // An answer with Content-Length.
  std::string read_answer() {
    std::string head = read_until("\r\n\r\n");
    const size_t at = head.find("content-length: ");
    if (at == std::string::npos) return head;
    const size_t length = std::stoul(head.substr(at + 16));
    while (pending_.size() < length && more()) {
    }
    head += pending_.substr(0, length);
    pending_.erase(0, length);
    return head;
  }
  bool closed_within(std::chrono::milliseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until && !closed_) more(50);
    return closed_;
  }
  int fd() const { return fd_; }
  void finish_sending() const { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  bool more(int wait_ms = 10000) {
    pollfd ready{fd_, POLLIN, 0};
    if (::poll(&ready, 1, wait_ms) <= 0) return false;
    char buffer[16 << 10];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got > 0) pending_.append(buffer, static_cast<size_t>(got));
    closed_ = got <= 0;
    return got > 0;
  }

  int fd_;
  bool closed_ = false;
  std::string pending_;
};

}  // namespace quern
