#include "server/http/connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <random>

#include "base/clock.h"
#include "base/random.h"

namespace quern {
namespace {

namespace asio = boost::asio;

constexpr size_t kWrite = 64 << 10;      // of an answer at once: HttpLimits::write_s is about this many
constexpr size_t kPipelined = 64 << 10;  // of requests after the one that is answered
constexpr size_t kDiscarded = 4 << 20;   // of a body that nobody wants, so that its sender gets to read the answer
constexpr double kLinger_s = 2;
constexpr size_t kSpareHandlers = 16;  // for light routes

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// What must not be written down.
bool is_secret(std::string_view name) {
  static constexpr std::string_view kSecret[] = {"authorization", "x-api-key", "cookie", "proxy-authorization"};
  return std::any_of(std::begin(kSecret), std::end(kSecret), [&](std::string_view secret) {
    return std::equal(name.begin(), name.end(), secret.begin(), secret.end(),
                      [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b; });
  });
}

}  // namespace

std::string ServerCore::next_id() {
  static std::atomic<uint64_t> state = [] {
    std::random_device device;
    return uint64_t{device()} << 32 | device();
  }();
  return fmt::format("req_{:016x}", Random::mix(state += 0x9E3779B97F4A7C15ULL));
}

Connection::Connection(ServerCore& core, Socket socket, std::string address, std::function<void(Connection&)> on_end)
    : core_(core),
      socket_(std::move(socket)),
      address_(std::move(address)),
      on_end_(std::move(on_end)),
      phase_timer_(core.context),
      exchange_timer_(core.context),
      write_timer_(core.context),
      silence_timer_(core.context) {}

void Connection::limit(Timer& timer, double seconds, void (Connection::*on_late)()) {
  if (seconds <= 0) {
    timer.expires_at(Clock::time_point::max());
    return;
  }
  timer.expires_after(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(std::min(seconds, 1e8))));
  timer.async_wait([self = shared_from_this(), &timer, on_late](const Code& code) {
    // The timer may have been set anew since it ran out.
    if (!code && self->phase_ != Phase::closed && timer.expiry() <= Clock::now()) ((*self).*on_late)();
  });
}

void Connection::start() {
  Code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  if (!core_.tls) {
    phase_ = Phase::idle;
    limit(phase_timer_, core_.options.limits.header_s, &Connection::late);
    return advance();
  }
  tls_.emplace(socket_, *core_.tls);
  limit(phase_timer_, core_.options.limits.handshake_s, &Connection::late);
  tls_->async_handshake(asio::ssl::stream_base::server, [self = shared_from_this()](const Code& code) {
    if (self->phase_ == Phase::closed) return;
    if (code) return self->close();
    self->phase_ = Phase::idle;
    self->limit(self->phase_timer_, self->core_.options.limits.header_s, &Connection::late);
    self->advance();
  });
}

void Connection::close() {
  if (phase_ == Phase::closed) return;
  const auto self = shared_from_this();
  phase_ = Phase::closed;
  for (Timer* timer : {&phase_timer_, &exchange_timer_, &write_timer_, &silence_timer_}) timer->cancel();
  Code ignored;
  socket_.close(ignored);
  account_body(0);
  if (answer_) {
    answer_->close();
    pump();  // in case the handler is done already
  }
  on_end_(*this);
}

void Connection::close_if_idle() {
  if (phase_ == Phase::idle) close();
}

void Connection::late() {
  if (phase_ != Phase::head && phase_ != Phase::body) return close();
  refuse({408, "timeout", phase_ == Phase::head ? "the header took too long" : "the body took too long"});
}

void Connection::late_exchange() { close(); }

void Connection::after_silence() {
  if (!answer_ || phase_ != Phase::answering) return;
  const double silence = core_.options.limits.silence_s, quiet = since(last_write_);
  if (answer_->silent().empty()) return;
  if (!writing_ && quiet >= silence * 0.99) {
    answer_->send_silent();
    pump();
  }
  limit(silence_timer_, std::max(0.01, silence - since(last_write_)), &Connection::after_silence);
}

void Connection::read() {
  if (reading_ || phase_ == Phase::closed) return;
  if (at_end_) return phase_ == Phase::answering ? look_for_client() : void();
  if (phase_ == Phase::answering && input_.size() > kPipelined) return;
  reading_ = true;
  const auto done = [self = shared_from_this()](const Code& code, size_t bytes) { self->on_read(code, bytes); };
  const auto buffer = asio::buffer(part_);
  tls_ ? tls_->async_read_some(buffer, done) : socket_.async_read_some(buffer, done);
}

void Connection::on_read(const Code& code, size_t bytes) {
  reading_ = false;
  if (phase_ == Phase::closed) return;
  if (ending_tls_) return end_tls();
  if (code) {
    at_end_ = true;
    if (phase_ == Phase::lingering) return close();
    if (phase_ != Phase::answering) return advance();
    return code == asio::error::eof && !tls_ ? look_for_client() : close();
  }
  if (phase_ == Phase::lingering) {
    discarded_ += bytes;
    return discarded_ > kDiscarded ? close() : read();
  }
  input_.append(part_.data(), bytes);
  if (phase_ == Phase::answering) return read();
  advance();
}

// The client sends nothing more. It may have gone; or it has closed its side alone and waits for its answer, as `nc -N` does. Both look the
// same until something is sent: who has gone answers that with a reset. Before the answer has begun, what may be sent is an interim one;
// HTTP/1.0 has none, and there whoever closes their side counts as gone, unless the answer is a matter of a moment.
void Connection::look_for_client() {
  const Answer::State state = answer_->state();
  if (!state.begun && parser_->http10() && !light_) return close();
  if (!std::exchange(watched_, true))
    socket_.async_wait(Socket::wait_error, [self = shared_from_this()](const Code&) { self->close(); });
  if (writing_) return;  // that tells, too
  if (!state.begun && !parser_->http10()) return say_continue();
  answer_->send_silent();
  pump();
}

void Connection::advance() {
  while (phase_ == Phase::idle || phase_ == Phase::head || phase_ == Phase::body) {
    if (phase_ == Phase::idle) {
      if (input_.empty()) return at_end_ ? close() : read();
      phase_ = Phase::head;
      begun_ = Clock::now();
      record_ = {.begun = std::chrono::system_clock::now(), .id = core_.next_id(), .address = address_};
      parser_.emplace(core_.options.limits.request);
      limit(phase_timer_, core_.options.limits.header_s, &Connection::late);
      limit(exchange_timer_, core_.options.limits.exchange_s, &Connection::late_exchange);
    }
    const size_t used = parser_->feed(input_);
    input_.erase(0, used);
    switch (parser_->state()) {
      case RequestParser::State::failed:
        return refuse(parser_->problem());
      case RequestParser::State::nothing:
      case RequestParser::State::head:
        return at_end_ ? close() : read();
      case RequestParser::State::body:
        if (!checked_) {
          admit();
          continue;
        }
        account_body(parser_->request().body.size());
        if (core_.options.limits.bodies && core_.body_bytes > core_.options.limits.bodies)
          return refuse({503, "overloaded", "too many large requests at the same time; try again later"});
        return at_end_ ? close() : read();
      case RequestParser::State::complete:
        if (!checked_) {
          admit();
          if (!checked_) return;
        }
        return serve();
    }
  }
}

void Connection::account_body(size_t bytes) {
  core_.body_bytes += bytes - accounted_;
  accounted_ = bytes;
}

// The head is there: who may not ask is told so before anything more is read.
void Connection::admit() {
  const ServerRequest& request = parser_->request();
  record_.method = request.method;
  found_ = core_.router.find(request.method, request.path);
  const RouteTraits traits = found_.route ? found_.route->traits : RouteTraits{};
  if (found_.route) record_.route = found_.route->pattern;
  verdict_ = core_.policy.judge(request.method, request.headers, parser_->host(), traits.open);
  record_.client = verdict_.client.empty() ? address_ : verdict_.client;
  if (verdict_.problem) return refuse(*verdict_.problem);
  if (verdict_.preflight) return answer_with([](Answer& answer) { answer.send(204, "", ""); });
  if (core_.draining && !traits.light) return refuse({503, "shutting_down", "the server is shutting down"});
  checked_ = true;
  phase_ = Phase::body;
  limit(phase_timer_, core_.options.limits.body_s, &Connection::late);
  if (parser_->state() == RequestParser::State::body && parser_->expects_continue() && input_.empty()) say_continue();
}

void Connection::say_continue() {
  continue_ = "HTTP/1.1 100 Continue\r\n\r\n";
  writing_ = true;
  const auto done = [self = shared_from_this()](const Code& code, size_t) {
    self->writing_ = false;
    if (code) return self->close();
    self->pump();
  };
  tls_ ? asio::async_write(*tls_, asio::buffer(continue_), done) : asio::async_write(socket_, asio::buffer(continue_), done);
}

std::shared_ptr<Answer> Connection::make_answer(std::vector<std::pair<std::string, std::string>> headers) {
  phase_ = Phase::answering;
  limit(phase_timer_, 0, nullptr);
  whole_request_ = parser_->state() == RequestParser::State::complete;
  headers.emplace_back("x-request-id", record_.id);
  for (auto& header : verdict_.headers) headers.push_back(header);
  Answer::Setup setup;
  setup.head_only = record_.method == "HEAD";
  setup.http10 = parser_->http10();
  setup.keep_alive = whole_request_ && parser_->keep_alive() && !core_.draining;
  setup.headers = std::move(headers);
  setup.transcript = core_.options.transcripts;
  setup.retry_after = core_.options.retry_after;
  setup.wake = [self = shared_from_this()] { asio::post(self->core_.context, [self] { self->pump(); }); };
  return std::make_shared<Answer>(std::move(setup));
}

void Connection::answer_with(std::function<void(Answer&)> fill) {
  answer_ = make_answer({});
  fill(*answer_);
  answer_->handler_done(Answer::End::whole);
  read();  // notices a client that goes away
}

void Connection::refuse(const Problem& problem) {
  answer_with([&](Answer& answer) { core_.router.send_problem(parser_->request(), answer, problem); });
}

void Connection::serve() {
  ServerRequest& request = parser_->request();
  request.id = record_.id;
  request.client = record_.client;
  record_.received = request.body.size();
  account_body(request.body.size());
  if (core_.options.transcripts) {
    transcript_ = std::make_shared<Transcript>(Transcript{.path = request.path, .query = request.query, .body = request.body});
    for (const auto& [name, value] : request.headers.fields())
      transcript_->headers.add(name, is_secret(name) ? "(removed)" : value);
  }
  if (!found_.route) return answer_with([&](Answer& answer) { core_.router.dispatch(std::move(found_), request, answer); });
  run_handler(std::move(found_));
}

void Connection::run_handler(Router::Found found) {
  answer_ = make_answer({});
  light_ = found.route->traits.light;
  const auto request = std::make_shared<ServerRequest>(std::move(parser_->request()));
  auto work = [answer = answer_, request = request, found = std::move(found), &router = core_.router]() mutable {
    auto end = Answer::End::whole;
    const auto failed = [&](const char* what) {
      end = Answer::End::failed;
      if (answer->state().begun) return;
      router.send_problem(*request, *answer, {500, "internal_error", printable_line(what)});
    };
    try {
      router.dispatch(std::move(found), *request, *answer);
      if (!answer->state().begun) failed("the request was not answered");
    } catch (const std::bad_alloc&) {
      failed("out of memory");
    } catch (const std::exception& e) {  // SystemError: the machine
      failed(e.what());
    }
    request.reset();
    answer->handler_done(end);
  };
  handled_ = true;
  ++core_.requests;
  if (!core_.threads.run(std::move(work), light_ ? kSpareHandlers : 0)) {
    core_.router.send_problem(*request, *answer_, {503, "overloaded", "too many requests at the same time; try again later"});
    answer_->handler_done(Answer::End::whole);
  }
  read();
}

void Connection::pump() {
  if (!answer_) return;
  if (phase_ == Phase::closed) {
    if (answer_->state().handler_done) finish_exchange();
    return;
  }
  if (writing_) return;
  outgoing_ = answer_->take();
  if (!outgoing_.empty()) {
    written_ = 0;
    return write_some();
  }
  const Answer::State state = answer_->state();
  if (state.complete) {
    const bool go_on = state.keep_alive && !state.broken && !core_.draining;
    finish_exchange();
    if (state.broken) return close();
    return go_on ? next_request() : linger();
  }
  if (state.begun && !answer_->silent().empty() && silence_timer_.expiry() <= Clock::now())
    limit(silence_timer_, core_.options.limits.silence_s, &Connection::after_silence);
}

void Connection::write_some() {
  writing_ = true;
  const auto buffer = asio::buffer(outgoing_.data() + written_, std::min(kWrite, outgoing_.size() - written_));
  limit(write_timer_, core_.options.limits.write_s, &Connection::late_write);
  const auto done = [self = shared_from_this()](const Code& code, size_t bytes) { self->on_written(code, bytes); };
  tls_ ? asio::async_write(*tls_, buffer, done) : asio::async_write(socket_, buffer, done);
}

void Connection::on_written(const Code& code, size_t bytes) {
  writing_ = false;
  if (phase_ == Phase::closed) return;
  limit(write_timer_, 0, nullptr);
  if (code) return close();
  last_write_ = Clock::now();
  answer_->sent(bytes);
  written_ += bytes;
  if (written_ < outgoing_.size()) return write_some();
  pump();
}

void Connection::record() {
  const Answer::State state = answer_->state();
  record_.status = state.status;
  record_.seconds = since(begun_);
  if (state.begun_at) record_.first_byte_s = std::chrono::duration<double>(*state.begun_at - begun_).count();
  record_.sent = state.body;
  record_.cut_off = !state.complete || state.broken;
  record_.notes = answer_->notes();
  if (transcript_) {
    for (Answer::Part& part : answer_->take_transcript())
      transcript_->answer.push_back({std::chrono::duration<double>(part.at - begun_).count(), std::move(part.bytes)});
    record_.transcript = std::move(transcript_);
  }
  if (core_.options.on_exchange) core_.options.on_exchange(record_);
}

void Connection::finish_exchange() {
  limit(exchange_timer_, 0, nullptr);
  limit(silence_timer_, 0, nullptr);
  record();
  answer_.reset();
  account_body(0);
  if (std::exchange(handled_, false)) {
    --core_.requests;
    core_.on_idle();
  }
}

void Connection::next_request() {
  parser_.reset();
  checked_ = false;
  found_ = {};
  verdict_ = {};
  phase_ = Phase::idle;
  limit(phase_timer_, core_.options.limits.idle_s, &Connection::late);
  advance();
}

// The last answer is out. Closing at once could destroy it on its way, if the client is still sending: what comes is thrown away.
void Connection::linger() {
  if (at_end_) return close();
  phase_ = Phase::lingering;
  limit(phase_timer_, kLinger_s, &Connection::late);
  Code ignored;
  if (!tls_) {
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    return read();
  }
  if (!whole_request_) return read();
  // TLS has an end of its own, which tells that nothing was cut off. It can follow only when the read that looks for a client's going has ended.
  ending_tls_ = true;
  if (!reading_) return end_tls();
  socket_.cancel(ignored);
}

void Connection::end_tls() {
  tls_->async_shutdown([self = shared_from_this()](const Code&) { self->close(); });
}

}  // namespace quern
