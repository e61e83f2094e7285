// How a blocking call keeps its deadline: each step is an asynchronous operation of Asio, and wait() runs it in short turns between which
// it looks at the clock and at `cancelled`; giving up closes the socket, which ends the operation. Bytes are fed to Beast's parser by
// hand, so that it is compiled once and not for each kind of stream.
#define BOOST_ASIO_NO_DEPRECATED
#include "base/http/exchange.h"

#include <netdb.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>

#include "base/clock.h"

namespace quern {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Code = boost::system::error_code;
using Socket = asio::ip::tcp::socket;
using Parser = http::response_parser<http::buffer_body>;

constexpr auto kTurn = std::chrono::milliseconds(50);  // between looks at the clock
constexpr auto kNever = Clock::time_point::max();
constexpr size_t kPart = 16 << 10;  // read at once
constexpr int kMaxInterim = 10;     // answers 1xx before the real one

Clock::duration seconds(double s) { return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s)); }

// A look-up that outlives whoever asked: getaddrinfo cannot be interrupted.
struct Lookup {
  std::mutex mutex;
  std::condition_variable done_condition;
  bool done = false;
  int status = 0;
  std::vector<IpAddress> addresses;
};

void look_up(const std::string& host, Lookup& lookup) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  std::vector<IpAddress> addresses;
  for (const addrinfo* entry = list; entry; entry = entry->ai_next) {
    IpAddress address;
    address.v6 = entry->ai_family == AF_INET6;
    if (address.v6)
      std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(entry->ai_addr)->sin6_addr, 16);
    else if (entry->ai_family == AF_INET)
      std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in*>(entry->ai_addr)->sin_addr, 4);
    else
      continue;
    addresses.push_back(address);
  }
  if (list) ::freeaddrinfo(list);
  const std::lock_guard lock(lookup.mutex);
  lookup.status = status;
  lookup.addresses = std::move(addresses);
  lookup.done = true;
  lookup.done_condition.notify_all();
}

asio::ip::tcp::endpoint endpoint_of(const IpAddress& address, uint16_t port) {
  if (!address.v6) return {asio::ip::address_v4({address.bytes[0], address.bytes[1], address.bytes[2], address.bytes[3]}), port};
  asio::ip::address_v6::bytes_type bytes;
  std::copy(address.bytes.begin(), address.bytes.end(), bytes.begin());
  return {asio::ip::address_v6(bytes), port};
}

class Connection {
 public:
  explicit Connection(const HttpExchange& exchange) : exchange_(exchange), socket_(context_) {}

  Result<void> open() {
    QUERN_ASSIGN(const auto addresses, resolve());
    std::string refused;
    bool any = false;
    for (const IpAddress& address : addresses) {
      if (exchange_.limits.allow_address && !exchange_.limits.allow_address(address)) {
        refused = address.to_string();
        continue;
      }
      any = true;
      QUERN_ASSIGN(last_error_, connect(address));
      if (!last_error_) return exchange_.url.is_https() ? secure() : Result<void>();
    }
    if (!any) return fail(Errc::denied, "{}: connecting to {} is not allowed", host(), refused);
    return fail(Errc::io, "{}: cannot connect: {}", host(), last_error_.message());
  }

  // Says nothing of failure: a server may answer and close before it has read everything, and its answer counts.
  Result<Code> write(std::string_view bytes) {
    const auto buffer = asio::buffer(bytes.data(), bytes.size());
    return wait(kNever, "",
                [&](auto done) { tls_ ? asio::async_write(*tls_, buffer, done) : asio::async_write(socket_, buffer, done); });
  }

  // Appends what there is; false at the end of the stream.
  Result<bool> read(std::string& out) {
    const auto buffer = asio::buffer(part_);
    size_t got = 0;
    const double idle = exchange_.limits.idle_timeout_s;
    const std::string too_slow = fmt::format("nothing was heard for {} s", idle);
    const auto until = idle > 0 ? Clock::now() + seconds(idle) : kNever;
    QUERN_ASSIGN(const Code code, wait(until, too_slow, [&](auto done) {
                   const auto count = [&got, done](const Code& ended, size_t bytes) {
                     got = bytes;
                     done(ended);
                   };
                   tls_ ? tls_->async_read_some(buffer, count) : socket_.async_read_some(buffer, count);
                 }));
    out.append(part_.data(), got);
    if (code == asio::error::eof) return false;
    if (code == asio::ssl::error::stream_truncated) return fail(Errc::malformed, "{}: TLS: the connection was cut off", host());
    if (code) return fail(Errc::io, "{}: connection lost: {}", host(), code.message());
    return true;
  }

  std::string host() const { return exchange_.url.authority(); }

  Result<void> check_stop() const {
    if (exchange_.limits.cancelled && exchange_.limits.cancelled()) return fail(Errc::io, "{}: interrupted", host());
    if (exchange_.deadline && Clock::now() > *exchange_.deadline)
      return fail(Errc::io, "{}: took longer than {} s", host(), exchange_.limits.timeout_s);
    return {};
  }

 private:
  // Starts an operation and waits for its end, at most until `until`, past which `too_late` says what went wrong.
  template <class Start>
  Result<Code> wait(Clock::time_point until, std::string_view too_late, Start start) {
    struct {
      Code code;
      bool done = false;
    } outcome;
    start([&outcome](const Code& code, auto...) {
      outcome.code = code;
      outcome.done = true;
    });
    Result<void> ended;
    context_.restart();
    while (!outcome.done) {
      context_.run_one_for(kTurn);
      if (outcome.done || !ended) continue;
      ended = check_stop();
      if (ended && Clock::now() > until) ended = fail(Errc::io, "{}: {}", host(), too_late);
      if (ended) continue;
      Code ignored;
      socket_.close(ignored);  // the operation ends with an error
    }
    if (!ended) return tl::unexpected(ended.error());
    return outcome.code;
  }

  Result<std::vector<IpAddress>> resolve() {
    const std::string& name = exchange_.url.host;
    if (const auto literal = IpAddress::parse(name)) return std::vector{*literal};
    if (exchange_.limits.resolve) return found(exchange_.limits.resolve(name), EAI_NONAME);
    const auto lookup = std::make_shared<Lookup>();
    std::thread([lookup, name] { look_up(name, *lookup); }).detach();
    std::unique_lock lock(lookup->mutex);
    while (!lookup->done_condition.wait_for(lock, kTurn, [&] { return lookup->done; })) QUERN_TRY(check_stop());
    return found(std::move(lookup->addresses), lookup->status);
  }

  Result<std::vector<IpAddress>> found(std::vector<IpAddress> addresses, int status) const {
    if (addresses.empty()) return fail(Errc::not_found, "{}: {}", exchange_.url.host, ::gai_strerror(status ? status : EAI_NONAME));
    return addresses;
  }

  Result<Code> connect(const IpAddress& address) {
    Code ignored;
    socket_.close(ignored);
    const auto until = Clock::now() + seconds(exchange_.limits.connect_timeout_s);
    const auto endpoint = endpoint_of(address, exchange_.url.port);
    auto connected = wait(until, "cannot connect: no answer", [&](auto done) { socket_.async_connect(endpoint, done); });
    if (!connected && check_stop()) return Code(asio::error::timed_out);  // this address; there may be others
    return connected;
  }

  Result<void> secure() {
    tls_context_.emplace(asio::ssl::context::tls_client);
    Code code;
    tls_context_->set_default_verify_paths(code);
    if (!exchange_.limits.ca_file.empty()) tls_context_->load_verify_file(exchange_.limits.ca_file, code);
    if (code) return fail(Errc::io, "{}: cannot read certificates: {}", exchange_.limits.ca_file, code.message());
    ::SSL_CTX_ctrl(tls_context_->native_handle(), SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, nullptr);
    tls_.emplace(socket_, *tls_context_);
    tls_->set_verify_mode(asio::ssl::verify_peer, code);
    ::SSL* ssl = tls_->native_handle();
    std::string name = exchange_.url.host;
    if (IpAddress::parse(name)) {
      ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(ssl), name.c_str());
    } else {
      if (name.ends_with('.')) name.pop_back();
      ::SSL_set1_host(ssl, name.c_str());
      ::SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
    }
    static constexpr unsigned char kProtocols[] = "\x08http/1.1";
    ::SSL_set_alpn_protos(ssl, kProtocols, sizeof kProtocols - 1);
    QUERN_ASSIGN(const Code ended,
                 wait(kNever, "", [&](auto done) { tls_->async_handshake(asio::ssl::stream_base::client, done); }));
    if (!ended) return {};
    if (const long verdict = ::SSL_get_verify_result(ssl); verdict != X509_V_OK)
      return fail(Errc::io, "{}: TLS: certificate refused: {}", host(), ::X509_verify_cert_error_string(verdict));
    return fail(Errc::io, "{}: TLS: {}", host(), ended.message());
  }

  const HttpExchange& exchange_;
  asio::io_context context_{1};
  Socket socket_;
  std::optional<asio::ssl::context> tls_context_;
  std::optional<asio::ssl::stream<Socket&>> tls_;
  std::array<char, kPart> part_;
  Code last_error_;
};

std::string request_text(const HttpExchange& exchange) {
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept-Encoding: identity\r\n",
                                 exchange.method, exchange.url.target, exchange.url.authority());
  for (const auto& [name, value] : exchange.headers.fields()) text += fmt::format("{}: {}\r\n", name, value);
  if (!exchange.body.empty() || exchange.method == "POST" || exchange.method == "PUT" || exchange.method == "PATCH")
    text += fmt::format("Content-Length: {}\r\n", exchange.body.size());
  text += "\r\n";
  text += exchange.body;
  return text;
}

// Reads one answer from a connection.
class Answer {
 public:
  Answer(const HttpExchange& exchange, Connection& connection) : exchange_(exchange), connection_(connection) {}

  Result<HttpResponse> read() {
    QUERN_TRY(read_head());
    if (exchange_.on_head && !exchange_.on_head(response_)) {
      response_.truncated = !parser_->is_done();
      return std::move(response_);
    }
    QUERN_TRY(read_body());
    return std::move(response_);
  }

 private:
  tl::unexpected<Error> bad(const Code& code) const {
    if (code == http::error::header_limit)
      return fail(Errc::out_of_range, "{}: a header of more than {} bytes", connection_.host(), exchange_.limits.max_header);
    if (code == http::error::end_of_stream) return fail(Errc::malformed, "{}: closed without an answer", connection_.host());
    if (code == http::error::partial_message)
      return fail(Errc::malformed, "{}: the answer ends early, after {} bytes of its body", connection_.host(), body_bytes_);
    return fail(Errc::malformed, "{}: not HTTP: {}", connection_.host(), code.message());
  }

  // One step of the parser over what was read, reading more first if that is what it lacks.
  Result<void> step() {
    Code code;
    const size_t used = parser_->put(asio::buffer(std::as_const(unparsed_)), code);
    unparsed_.erase(0, used);
    // Something came out, perhaps a piece of the body: whoever waits for it has it before more is read.
    if (code == http::error::need_buffer || ((!code || code == http::error::need_more) && used > 0)) return {};
    if (code && code != http::error::need_more) return bad(code);
    if (parser_->is_done()) return {};
    if (unparsed_.size() > exchange_.limits.max_header + kPart) return bad(http::error::header_limit);
    QUERN_ASSIGN(const bool more, connection_.read(unparsed_));
    if (more) return {};
    if (!parser_->got_some()) return bad(http::error::end_of_stream);
    parser_->put_eof(code);
    if (code) return bad(code);
    return {};
  }

  Result<void> read_head() {
    for (int interim = 0; interim <= kMaxInterim; ++interim) {
      parser_.emplace();
      parser_->header_limit(static_cast<uint32_t>(std::min<size_t>(exchange_.limits.max_header, 16 << 20)));
      parser_->body_limit(std::numeric_limits<uint64_t>::max());
      parser_->skip(exchange_.method == "HEAD");
      while (!parser_->is_header_done()) {
        QUERN_TRY(step());
        if (parser_->is_done()) break;
      }
      const auto& message = parser_->get();
      response_.status = message.result_int();
      if (response_.status / 100 == 1 && response_.status != 101) continue;
      for (const auto& field : message)
        response_.headers.add(std::string(field.name_string().data(), field.name_string().size()),
                              std::string(field.value().data(), field.value().size()));
      response_.final_url = exchange_.url.to_string();
      const std::string* encoding = response_.headers.find("content-encoding");
      if (encoding && *encoding != "identity" && !encoding->empty())
        return fail(Errc::unsupported, "{}: an answer encoded as {}, which was not asked for", connection_.host(),
                    encoding->substr(0, 100));
      return {};
    }
    return fail(Errc::malformed, "{}: more than {} interim answers", connection_.host(), kMaxInterim);
  }

  Result<void> read_body() {
    parser_->eager(true);
    std::array<char, kPart> part;
    while (!parser_->is_done()) {
      auto& body = parser_->get().body();
      body.data = part.data();
      body.size = part.size();
      body.more = true;
      const auto stepped = step();
      QUERN_ASSIGN(const bool wanted, take({part.data(), part.size() - body.size}));
      if (!wanted) {
        response_.truncated = true;
        return {};
      }
      QUERN_TRY(stepped);
      QUERN_TRY(connection_.check_stop());  // a fast stream never waits
    }
    return {};
  }

  // False: no more is wanted.
  Result<bool> take(std::string_view bytes) {
    if (bytes.empty()) return true;
    const size_t room = exchange_.limits.max_body - std::min(exchange_.limits.max_body, body_bytes_);
    const bool too_much = bytes.size() > room;
    if (too_much && !exchange_.limits.max_body_truncates)
      return fail(Errc::out_of_range, "{}: a body of more than {} bytes", connection_.host(), exchange_.limits.max_body);
    bytes = bytes.substr(0, room);
    body_bytes_ += bytes.size();
    if (!exchange_.limits.on_chunk)
      response_.body += bytes;
    else if (!bytes.empty() && !exchange_.limits.on_chunk(bytes))
      return false;
    return !too_much;
  }

  const HttpExchange& exchange_;
  Connection& connection_;
  std::optional<Parser> parser_;
  HttpResponse response_;
  std::string unparsed_;
  size_t body_bytes_ = 0;
};

}  // namespace

Result<HttpResponse> http_exchange(const HttpExchange& exchange) {
  Connection connection(exchange);
  QUERN_TRY(connection.open());
  QUERN_ASSIGN(const Code written, connection.write(request_text(exchange)));
  auto response = Answer(exchange, connection).read();
  if (!response && written) return fail(Errc::io, "{}: cannot send: {}", connection.host(), written.message());
  return response;
}

}  // namespace quern
