// A server of one test on 127.0.0.1: each connection gets a thread, which runs the test's own function over the raw socket.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace quern {

// The server's end of a connection.
class TestPeer {
 public:
  explicit TestPeer(int fd) : fd_(fd) {}
  int fd() const { return fd_; }

  // The request's head and the body that its Content-Length announces; empty: the client went away first.
  std::string read_request() {
    size_t end = std::string::npos;
    while ((end = pending_.find("\r\n\r\n")) == std::string::npos)
      if (!more()) return "";
    end += 4;
    if (const size_t at = pending_.substr(0, end).find("Content-Length: "); at != std::string::npos) {
      size_t length = 0;
      std::from_chars(pending_.data() + at + 16, pending_.data() + pending_.size(), length);
      end += length;
    }
    while (pending_.size() < end)
      if (!more()) return "";
    const std::string request = pending_.substr(0, end);
    pending_.erase(0, end);
    return request;
  }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t put = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (put <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(put));
    }
    return true;
  }
  // A whole answer with its length.
  bool answer(std::string_view status, std::string_view headers, std::string_view body) {
    return send(fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(), headers, body));
  }
  // Until the client goes away, or the server ends.
  void linger() {
    while (more()) {
    }
  }

 private:
  bool more() {
    char buffer[4096];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got > 0) pending_.append(buffer, static_cast<size_t>(got));
    return got > 0;
  }

  int fd_;
  std::string pending_;
};

class TestServer {
 public:
  using Serve = std::function<void(TestPeer&)>;

  explicit TestServer(Serve serve) : serve_(std::move(serve)), listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listening_, generic, size), 0);
    EXPECT_EQ(::listen(listening_, 16), 0);
    EXPECT_EQ(::getsockname(listening_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~TestServer() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      ::shutdown(listening_, SHUT_RDWR);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    ::close(listening_);
  }
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  uint16_t port() const { return port_; }
  std::string url(std::string_view path = "/", std::string_view host = "127.0.0.1", std::string_view scheme = "http") const {
    return fmt::format("{}://{}:{}{}", scheme, host, port_, path);
  }

 private:
  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
      const std::lock_guard lock(mutex_);
      if (fd < 0 || ended_) {
        if (fd >= 0) ::close(fd);
        return;
      }
      open_.insert(fd);
      threads_.emplace_back([this, fd] {
        TestPeer peer(fd);
        serve_(peer);
        const std::lock_guard closing(mutex_);
        open_.erase(fd);
        ::shutdown(fd, SHUT_WR);  // what is still under way arrives
        ::close(fd);
      });
    }
  }

  Serve serve_;
  int listening_;
  uint16_t port_ = 0;
  std::thread acceptor_;
  std::mutex mutex_;
  bool ended_ = false;
  std::set<int> open_;
  std::vector<std::thread> threads_;
};

}  // namespace quern
