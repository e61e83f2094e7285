// One connection of the server, from accept to close. Everything of it runs on the server's thread for sockets. Included by the server alone.
#pragma once

#define BOOST_ASIO_NO_DEPRECATED
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/http/answer.h"
#include "server/http/handler_threads.h"
#include "server/http/server.h"

namespace quern {

// What the connections of a server share.
struct ServerCore {
  ServerCore(const Router& r, const HttpServerOptions& o, AccessPolicy p)
      : router(r), options(o), policy(std::move(p)), threads(o.limits.handlers) {}

  const Router& router;
  const HttpServerOptions& options;
  AccessPolicy policy;
  HandlerThreads threads;
  boost::asio::io_context context{1};
  std::optional<boost::asio::ssl::context> tls;
  std::atomic<bool> draining = false;
  std::atomic<int64_t> connections = 0, requests = 0;
  size_t body_bytes = 0;          // of HttpLimits::bodies
  std::function<void()> on_idle;  // a request is over
  std::string next_id();
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  Connection(ServerCore& core, Socket socket, std::string address, std::function<void(Connection&)> on_end);

  void start();
  void close();          // now, whatever it does
  void close_if_idle();  // between two requests
  const std::string& address() const { return address_; }

 private:
  using Code = boost::system::error_code;
  using Timer = boost::asio::steady_timer;
  enum class Phase { handshake, idle, head, body, answering, lingering, closed };

  // How long the phase may last.
  void limit(Timer& timer, double seconds, void (Connection::*on_late)());
  void late();
  void late_exchange();
  void late_write() { close(); }
  void after_silence();

  void read();
  void on_read(const Code& code, size_t bytes);
  void look_for_client();  // who sends nothing more
  void advance();          // with what was read
  void admit();            // the head is there
  void serve();            // the request is whole
  void refuse(const Problem& problem);
  void answer_with(std::function<void(Answer&)> fill);  // here and now, without a handler
  std::shared_ptr<Answer> make_answer(std::vector<std::pair<std::string, std::string>> headers);
  void run_handler(Router::Found found);
  void account_body(size_t bytes);

  void pump();  // sends what the answer has
  void write_some();
  void on_written(const Code& code, size_t bytes);
  void say_continue();
  void finish_exchange();
  void record();
  void next_request();
  void linger();
  void end_tls();

  ServerCore& core_;
  Socket socket_;
  std::optional<boost::asio::ssl::stream<Socket&>> tls_;
  const std::string address_;
  const std::function<void(Connection&)> on_end_;
  Phase phase_ = Phase::handshake;
  Timer phase_timer_, exchange_timer_, write_timer_, silence_timer_;

  std::array<char, 16 << 10> part_;
  std::string input_;  // read, and not parsed yet
  bool reading_ = false, at_end_ = false, ending_tls_ = false;
  bool watched_ = false;  // a reset of the connection is waited for
  size_t discarded_ = 0;  // while lingering

  std::optional<RequestParser> parser_;
  bool checked_ = false;  // admit() said yes
  Router::Found found_;
  AccessPolicy::Verdict verdict_;
  std::shared_ptr<Answer> answer_;
  bool handled_ = false;  // by a handler, which counts as a running request
  bool light_ = false;    // and that is done in a moment
  bool whole_request_ = false;
  size_t accounted_ = 0;  // of core_.body_bytes
  ExchangeRecord record_;
  std::shared_ptr<Transcript> transcript_;
  std::chrono::steady_clock::time_point begun_, last_write_;

  std::string outgoing_, continue_;
  size_t written_ = 0;
  bool writing_ = false;
};

}  // namespace quern
