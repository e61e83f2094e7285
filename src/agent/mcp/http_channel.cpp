#include "agent/mcp/http_channel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

#include "agent/mcp/sse.h"
#include "base/clock.h"
#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kMaxExchanges = 64;   // requests under way at once
constexpr size_t kMaxQueued = 1000;    // notifications and answers that are not delivered yet
constexpr int kMaxResumptions = 5;     // of one stream, one after the other without an event between them
constexpr double kQuickTimeout = 30;   // of a POST that is answered by nothing but its status
constexpr double kGoodbyeTimeout = 3;  // of the DELETE at the end

bool is_session_id(std::string_view text) {
  return !text.empty() && text.size() <= 1024 && std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

// One request under way.
struct Exchange {
  Json request;
  std::string text;
  int64_t behind = 0;  // so many quick messages go first
  std::atomic<bool> over = false, finished = false;
  std::thread thread;
};

// What came of one HTTP request whose answer may be a stream.
struct Outcome {
  int status = 0;
  std::string media_type;
  std::string error;  // empty: whole
};

class HttpChannel : public McpChannel {
 public:
  HttpChannel(const McpHttpServer& server, const McpLimits& limits) : server_(server), max_message_(limits.message_bytes) {}
  ~HttpChannel() override { close(); }

  Result<void> start(Events events) override {
    QUERN_TRY(parse_url(server_.url));
    events_ = std::move(events);
    courier_ = std::thread([this] { deliver_quick(); });
    return {};
  }

  Result<void> send(std::string text, const Json& request) override {
    const std::lock_guard lock(mutex_);
    if (stopping_) return fail(Errc::io, "the connection has ended");
    std::erase_if(exchanges_, [](auto& exchange) {
      if (!exchange->finished) return false;
      exchange->thread.join();
      return true;
    });
    if (request.is_null()) {
      if (quick_.size() >= kMaxQueued) return fail(Errc::io, "the server does not take what it is sent");
      quick_.push_back(std::move(text));
      ++queued_;
      changed_.notify_all();
      return {};
    }
    if (exchanges_.size() >= kMaxExchanges) return fail(Errc::io, "more than {} requests under way", kMaxExchanges);
    auto& exchange = *exchanges_.emplace_back(std::make_unique<Exchange>());
    exchange.request = request;
    exchange.text = std::move(text);
    exchange.behind = queued_;
    exchange.thread = std::thread([this, &exchange] {
      run(exchange);
      exchange.finished = true;
    });
    return {};
  }

  void abandon(const Json& request) override {
    const std::lock_guard lock(mutex_);
    for (const auto& exchange : exchanges_)
      if (exchange->request == request) exchange->over = true;
  }

  void opened(const std::string& protocol_version) override {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    protocol_version_ = protocol_version;
    listener_ = std::thread([this] { listen(); });
  }

  void close() override {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(closed_, true)) return;
      stopping_ = true;
      changed_.notify_all();
    }
    for (const auto& exchange : exchanges_) exchange->thread.join();
    if (courier_.joinable()) courier_.join();
    if (listener_.joinable()) listener_.join();
    if (session_.empty()) return;
    HttpRequest goodbye = request("DELETE");
    goodbye.cancelled = nullptr;
    goodbye.timeout_s = kGoodbyeTimeout;
    (void)http_send(goodbye);  // a server may refuse it; the session ends for us all the same
  }

 private:
  HttpRequest request(std::string_view method) {
    HttpRequest request;
    request.method = method;
    request.url = server_.url;
    request.headers = server_.headers;
    request.ca_file = server_.ca_file;
    request.timeout_s = 0;
    request.max_body = std::numeric_limits<size_t>::max();  // messages are bounded one by one
    request.cancelled = [this] { return stopping_.load(); };
    const std::lock_guard lock(mutex_);
    if (!session_.empty()) request.headers.add("Mcp-Session-Id", session_);
    if (!protocol_version_.empty()) request.headers.add("MCP-Protocol-Version", protocol_version_);
    return request;
  }

  HttpRequest post(std::string text) {
    HttpRequest request = this->request("POST");
    request.headers.add("Content-Type", "application/json");
    request.headers.add("Accept", "application/json, text/event-stream");
    request.body = std::move(text);
    return request;
  }

  void say(const std::function<void()>& event) {
    const std::lock_guard lock(event_mutex_);
    if (!stopping_) event();
  }
  void say_text(std::string_view text) {
    say([&] {
      if (!events_.on_text(text)) stopping_ = true;
    });
  }
  // The session is no more: nothing that is under way will be answered.
  void end(Error why) {
    say([&] {
      stopping_ = true;
      events_.on_end(std::move(why));
    });
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

  // Sends a request and hands its answer's messages on as they come.
  Outcome exchange(HttpRequest request, SseParser& events, bool takes_json) {
    Outcome outcome;
    std::string body;
    bool too_long = false;
    const auto is_stream = [&] { return outcome.status / 100 == 2 && outcome.media_type == "text/event-stream"; };
    request.on_head = [&](const HttpResponse& head) {
      outcome.status = head.status;
      outcome.media_type = head.media_type();
      const std::string* session = head.headers.find("mcp-session-id");
      const std::lock_guard lock(mutex_);
      if (session && session_.empty() && protocol_version_.empty() && is_session_id(*session)) session_ = *session;
      return true;
    };
    request.on_chunk = [&](std::string_view chunk) {
      if (!is_stream()) {
        too_long = body.size() + chunk.size() > max_message_;
        if (!too_long) body += chunk;
        return !too_long;
      }
      const auto fed = events.feed(chunk, [&](const SseEvent& event) {
        if (event.type == "message") say_text(event.data);
      });
      too_long = !fed;
      return !too_long;
    };
    const auto response = http_send(request);
    if (too_long) {
      outcome.error = fmt::format("a message of more than {} bytes", max_message_);
      say([&] { events_.on_too_long({Errc::out_of_range, outcome.error}); });
    } else if (!response) {
      outcome.error = response.error().message;
    } else if (takes_json && outcome.status / 100 == 2 && outcome.media_type == "application/json") {
      say_text(body);
    } else if (outcome.status / 100 != 2) {
      const std::string_view shown = std::string_view(body).substr(0, 200);
      outcome.error = printable_line(fmt::format("HTTP status {}{}{}", outcome.status, shown.empty() ? "" : ": ",
                                                 replace_invalid_utf8(shown.substr(0, complete_utf8_prefix(shown)))));
    }
    return outcome;
  }

  bool has_session() {
    const std::lock_guard lock(mutex_);
    return !session_.empty();
  }

  // Waits unless there is something better to do.
  void pause(double seconds, const std::atomic<bool>& over) {
    const auto until = Clock::now() + std::chrono::duration<double>(seconds);
    while (!stopping_ && !over && Clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  static double retry_s(const SseParser& events) {
    return std::clamp(static_cast<double>(events.retry_ms().value_or(1000)) / 1000, 0.05, 30.0);
  }

  HttpRequest resumption(const SseParser& events) {
    HttpRequest request = this->request("GET");
    request.headers.add("Accept", "text/event-stream");
    if (!events.last_id().empty()) request.headers.add("Last-Event-ID", events.last_id());
    return request;
  }

  void run(Exchange& exchange) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || delivered_ >= exchange.behind; });
    }
    SseParser events(max_message_);
    const auto until_over = [&](HttpRequest request) {
      request.cancelled = [this, &exchange] { return stopping_ || exchange.over; };
      return request;
    };
    Outcome outcome = this->exchange(until_over(post(std::move(exchange.text))), events, /*takes_json=*/true);
    if (outcome.status == 404 && has_session()) return end({Errc::io, "the server has forgotten the session"});
    const bool streamed = outcome.status / 100 == 2 && outcome.media_type == "text/event-stream";
    std::string seen = "";
    for (int attempt = 0; streamed && !exchange.over && !stopping_ && !events.last_id().empty(); ++attempt) {
      if (std::exchange(seen, events.last_id()) != events.last_id()) attempt = 0;
      if (attempt >= kMaxResumptions) break;
      pause(retry_s(events), exchange.over);
      events.restart();
      if (!exchange.over) outcome = this->exchange(until_over(resumption(events)), events, /*takes_json=*/false);
      if (outcome.status == 405 || outcome.status == 404) break;
    }
    if (exchange.over || stopping_) return;
    say([&] { events_.on_lost(exchange.request, {Errc::io, lost_text(outcome)}); });
  }

  static std::string lost_text(const Outcome& outcome) {
    if (outcome.status == 401 || outcome.status == 403)
      return outcome.error + " (the server wants credentials: give them as a header)";
    if (outcome.status == 404 || outcome.status == 405)
      return outcome.error + " (expected the address of a streamable HTTP endpoint)";
    if (!outcome.error.empty()) return outcome.error;
    if (outcome.media_type == "text/event-stream") return "the stream of events ended before the answer";
    if (outcome.media_type == "application/json") return "the answer was to something else";
    return fmt::format("an answer of type '{}', expected application/json or text/event-stream", outcome.media_type);
  }

  // Notifications and answers, in order; a request that is sent later waits for them.
  void deliver_quick() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stopping_ || !quick_.empty(); });
      if (stopping_) return;
      std::string text = std::move(quick_.front());
      quick_.pop_front();
      lock.unlock();
      HttpRequest request = post(std::move(text));
      request.timeout_s = kQuickTimeout;
      SseParser events(max_message_);
      const Outcome outcome = exchange(std::move(request), events, /*takes_json=*/false);
      if (outcome.status == 404 && has_session())
        end({Errc::io, "the server has forgotten the session"});
      else if (!outcome.error.empty())
        say([&] { events_.on_fault({Errc::io, outcome.error}); });
      lock.lock();
      ++delivered_;
      changed_.notify_all();
    }
  }

  // What the server says on its own; one that has no such stream answers 405.
  void listen() {
    static const std::atomic<bool> never = false;
    SseParser events(max_message_);
    int failures = 0;
    while (!stopping_ && failures < kMaxResumptions) {
      const auto start = Clock::now();
      const Outcome outcome = exchange(resumption(events), events, /*takes_json=*/false);
      if (outcome.status / 100 == 4 || (outcome.status / 100 == 2 && outcome.media_type != "text/event-stream")) return;
      const bool lasted = outcome.status / 100 == 2 && Clock::now() - start > std::chrono::seconds(5);
      failures = lasted ? 0 : failures + 1;
      events.restart();
      pause(retry_s(events), never);
    }
  }

  const McpHttpServer server_;
  const size_t max_message_;
  Events events_;  // set before the threads start
  std::mutex event_mutex_;
  std::atomic<bool> stopping_ = false;
  std::thread courier_, listener_;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool closed_ = false;
  std::string session_, protocol_version_;
  std::deque<std::string> quick_;
  int64_t queued_ = 0, delivered_ = 0;
  std::list<std::unique_ptr<Exchange>> exchanges_;
};

}  // namespace

std::unique_ptr<McpChannel> make_http_channel(const McpHttpServer& server, const McpLimits& limits) {
  return std::make_unique<HttpChannel>(server, limits);
}

}  // namespace quern
