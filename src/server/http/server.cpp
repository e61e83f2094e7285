#include "server/http/connection.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace quern {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Code = boost::system::error_code;

// The protocol that is spoken over TLS, of those the client offers.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned in_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, size, kHttp11, sizeof kHttp11 - 1, in, in_size);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

Result<void> set_up_tls(std::optional<asio::ssl::context>& context, const HttpServerOptions& options) {
  if (options.tls_cert.empty() && options.tls_key.empty()) return {};
  if (options.tls_cert.empty() || options.tls_key.empty())
    return fail(Errc::invalid_argument, "TLS needs a certificate and its key (--tls-cert, --tls-key)");
  context.emplace(asio::ssl::context::tls_server);
  ::SSL_CTX* raw = context->native_handle();
  ::SSL_CTX_ctrl(raw, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, nullptr);
  ::SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  ::SSL_CTX_set_alpn_select_cb(raw, choose_protocol, nullptr);
  Code code;
  context->use_certificate_chain_file(options.tls_cert.string(), code);
  if (code)
    return fail(Errc::invalid_argument, "{}: cannot be used as a certificate: {}", options.tls_cert.string(), code.message());
  context->use_private_key_file(options.tls_key.string(), asio::ssl::context::pem, code);
  if (!code && ::SSL_CTX_check_private_key(raw) != 1) code = asio::error::invalid_argument;
  if (code)
    return fail(Errc::invalid_argument, "{}: cannot be used as the certificate's key: {}", options.tls_key.string(),
                code.message());
  return {};
}

// For those who come when the server is full: no room for anything more.
std::string full(int retry_after_s) {
  const std::string body = plain_problem({503, "too_many_connections", "too many connections"}).dump(Json::Spacing::compact);
  return fmt::format(
      "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: {}\r\nconnection: close\r\n"
      "content-length: {}\r\n\r\n{}",
      retry_after_s, body.size(), body);
}

}  // namespace

struct HttpServer::Impl {
  explicit Impl(const Router& r, HttpServerOptions o) : router(r), options(std::move(o)) {}

  const Router& router;
  HttpServerOptions options;
  std::optional<ServerCore> core;
  std::vector<tcp::acceptor> acceptors;
  std::optional<asio::steady_timer> retry;
  std::set<std::shared_ptr<Connection>> connections;  // on the thread below only, as is the next
  std::map<std::string, size_t> by_address;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> guard;
  std::thread thread;
  std::mutex mutex;
  std::condition_variable idle;
  uint16_t port = 0;

  Result<void> listen();
  Result<void> bind(const tcp::endpoint& endpoint);
  void accept(tcp::acceptor& acceptor);
  void admit(tcp::socket socket);
  void stop_listening();
};

Result<void> HttpServer::Impl::bind(const tcp::endpoint& endpoint) {
  tcp::acceptor acceptor(core->context);
  Code code;
  acceptor.open(endpoint.protocol(), code);
  if (!code) acceptor.set_option(tcp::acceptor::reuse_address(true), code);
  if (!code && endpoint.protocol() == tcp::v6()) acceptor.set_option(asio::ip::v6_only(true), code);
  if (!code) acceptor.bind(endpoint, code);
  if (!code) acceptor.listen(asio::socket_base::max_listen_connections, code);
  if (code) {
    const std::string address =
        endpoint.address().is_v6() ? fmt::format("[{}]", endpoint.address().to_string()) : endpoint.address().to_string();
    return fail(Errc::io, "cannot listen on {}:{}: {}", address, endpoint.port(), code.message());
  }
  if (port == 0) port = acceptor.local_endpoint(code).port();
  acceptors.push_back(std::move(acceptor));
  return {};
}

Result<void> HttpServer::Impl::listen() {
  AccessOptions access{.keys = options.keys, .hosts = options.allowed_hosts, .origins = options.origins};
  std::set<tcp::endpoint> endpoints;
  {
    asio::io_context context;
    Code code;
    const auto found = tcp::resolver(context).resolve(options.host, std::to_string(options.port),
                                                      tcp::resolver::passive | tcp::resolver::numeric_service, code);
    if (code) return fail(Errc::invalid_argument, "--host {}: {}", options.host, code.message());
    for (const auto& entry : found) endpoints.insert(entry.endpoint());
  }
  access.hosts.push_back(options.host);
  bool loopback = true;
  for (const tcp::endpoint& endpoint : endpoints) {
    const auto address = endpoint.address();
    loopback = loopback && address.is_loopback();
    access.any_address = access.any_address || address.is_unspecified();
    access.hosts.push_back(address.to_string());
    if (address.is_loopback() || address.is_unspecified())
      for (const char* name : {"localhost", "127.0.0.1", "::1"}) access.hosts.emplace_back(name);
  }
  if (!loopback && options.keys.empty())
    return fail(Errc::invalid_argument, "--host {}: others could use this server from there; --api-key-file is needed",
                options.host);
  core.emplace(router, options, AccessPolicy(std::move(access)));
  core->on_idle = [this] {
    const std::lock_guard lock(mutex);
    idle.notify_all();
  };
  QUERN_TRY(set_up_tls(core->tls, options));
  for (tcp::endpoint endpoint : endpoints) {
    if (endpoint.port() == 0) endpoint.port(port);  // all on the same one
    QUERN_TRY(bind(endpoint));
  }
  retry.emplace(core->context);
  return {};
}

void HttpServer::Impl::accept(tcp::acceptor& acceptor) {
  acceptor.async_accept([this, &acceptor](const Code& code, tcp::socket socket) {
    if (!acceptor.is_open()) return;
    if (!code) {
      admit(std::move(socket));
      return accept(acceptor);
    }
    if (code == asio::error::connection_aborted) return accept(acceptor);
    retry->expires_after(std::chrono::milliseconds(100));  // out of file descriptors: somebody may close one
    retry->async_wait([this, &acceptor](const Code&) {
      if (acceptor.is_open()) accept(acceptor);
    });
  });
}

void HttpServer::Impl::admit(tcp::socket socket) {
  Code code;
  const auto peer = socket.remote_endpoint(code);
  if (code) return;
  const std::string address = peer.address().to_string();
  const HttpLimits& limits = options.limits;
  if (connections.size() >= limits.connections || by_address[address] >= limits.per_address) {
    if (by_address[address] == 0) by_address.erase(address);
    socket.non_blocking(true, code);
    if (!core->tls) socket.write_some(asio::buffer(full(core->options.retry_after())), code);
    return;
  }
  const auto connection = std::make_shared<Connection>(*core, std::move(socket), address, [this](Connection& ended) {
    --core->connections;
    if (--by_address[ended.address()] == 0) by_address.erase(ended.address());
    connections.erase(ended.shared_from_this());
  });
  ++core->connections;
  ++by_address[address];
  connections.insert(connection);
  connection->start();
}

void HttpServer::Impl::stop_listening() {
  core->draining = true;
  asio::post(core->context, [this] {
    Code ignored;
    for (tcp::acceptor& acceptor : acceptors) acceptor.close(ignored);
    retry->cancel();
    for (const auto& connection : std::set(connections)) connection->close_if_idle();
  });
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const Router& router, HttpServerOptions options) {
  auto impl = std::make_unique<Impl>(router, std::move(options));
  QUERN_TRY(impl->listen());
  impl->guard.emplace(impl->core->context.get_executor());
  for (tcp::acceptor& acceptor : impl->acceptors) impl->accept(acceptor);
  impl->thread = std::thread([raw = impl.get()] { raw->core->context.run(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::~HttpServer() {
  impl_->stop_listening();
  asio::post(impl_->core->context, [this] {
    for (const auto& connection : std::set(impl_->connections)) connection->close();
  });
  impl_->core->threads.join();
  impl_->guard.reset();  // what is closed comes to its end, and the thread with it
  impl_->thread.join();
}

uint16_t HttpServer::port() const { return impl_->port; }

std::string HttpServer::url() const {
  const std::string& host = impl_->options.host;
  const bool bare_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
  return fmt::format("{}://{}:{}", impl_->core->tls ? "https" : "http", bare_v6 ? "[" + host + "]" : host, impl_->port);
}

bool HttpServer::drain(double seconds) {
  impl_->stop_listening();
  std::unique_lock lock(impl_->mutex);
  return impl_->idle.wait_for(lock, std::chrono::duration<double>(std::max(0.0, seconds)),
                              [&] { return impl_->core->requests == 0; });
}

bool HttpServer::draining() const { return impl_->core->draining; }
int64_t HttpServer::connections() const { return impl_->core->connections; }
int64_t HttpServer::requests() const { return impl_->core->requests; }

}  // namespace quern
