#include "agent/mcp/connection.h"

#include <algorithm>

#include "base/clock.h"
#include "base/utf8.h"

namespace quern {
namespace {

constexpr int64_t kMaxLogLines = 200;  // of a server's own, then silence
constexpr int64_t kShownFaults = 3;    // the rest is only counted

std::optional<int64_t> own_id(const Json& id) {
  if (!id.is_number()) return std::nullopt;
  const auto value = id.to_int64();
  return value ? std::optional(*value) : std::nullopt;
}

}  // namespace

std::string mcp_line(std::string_view text, size_t max_bytes) {
  const bool cut = text.size() > max_bytes;
  if (cut) text = text.substr(0, complete_utf8_prefix(text.substr(0, max_bytes)));
  return printable_line(replace_invalid_utf8(text)) + (cut ? "…" : "");
}

Result<std::unique_ptr<McpConnection>> McpConnection::open(std::unique_ptr<McpChannel> channel, const McpLimits& limits,
                                                           McpHooks hooks) {
  std::unique_ptr<McpConnection> connection(new McpConnection(limits, std::move(hooks)));
  McpConnection* self = connection.get();
  self->channel_ = std::move(channel);
  QUERN_TRY(self->channel_->start({
      .on_text = [self](std::string_view text) { return self->take(text); },
      .on_lost = [self](const Json& id, const Error& why) { self->lose(id, why); },
      .on_too_long = [self](const Error& why) { self->lose_all(why); },
      .on_fault = [self](const Error& why) { self->fault(why.message); },
      .on_end = [self](const Error& why) { self->end(why.message); },
  }));
  return connection;
}

McpConnection::~McpConnection() {
  if (channel_) channel_->close();
}

std::optional<std::string> McpConnection::end_reason() const {
  const std::lock_guard lock(mutex_);
  return end_reason_;
}

void McpConnection::warn(const std::string& line) const {
  if (hooks_.on_warning) hooks_.on_warning(line);
}

Result<void> McpConnection::notify(std::string_view method, Json params) {
  return channel_->send(rpc_notification(method, std::move(params)), Json());
}

Result<Json> McpConnection::request(std::string_view method, Json params, const McpRequestOptions& options) {
  const auto start = Clock::now();
  int64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (end_reason_) return fail(Errc::io, "{}", *end_reason_);
    id = next_id_++;
    pending_[id].heard = start;
  }
  if (options.on_progress) {
    if (params.is_null()) params = Json::object();
    params["_meta"] = json_object({{"progressToken", id}});
  }
  if (const auto sent = channel_->send(rpc_request(id, method, std::move(params)), id); !sent) {
    const std::lock_guard lock(mutex_);
    pending_.erase(id);
    return fail(Errc::io, "{}", end_reason_ ? *end_reason_ : sent.error().message);
  }
  for (;;) {
    std::string progress;
    bool silent = false;
    {
      std::unique_lock lock(mutex_);
      Pending& mine = pending_[id];  // stays where it is: a map
      changed_.wait_for(lock, std::chrono::milliseconds(50), [&] { return mine.answer.has_value(); });
      if (mine.answer) {
        Result<Json> answer = std::move(*mine.answer);
        pending_.erase(id);
        return answer;
      }
      progress = std::exchange(mine.progress, {});
      silent = seconds_since(mine.heard) > options.timeout_s;
    }
    if (!progress.empty()) options.on_progress(progress);
    if (options.cancelled && options.cancelled()) {
      give_up(id, "the run was interrupted", options);
      return fail(Errc::denied, "interrupted");
    }
    if (!silent && seconds_since(start) <= options.max_s) continue;
    give_up(id, "it took too long", options);
    return fail(Errc::io, "no answer to {} within {} s", method, silent ? options.timeout_s : options.max_s);
  }
}

// A late answer then is one that nobody waits for, and no fault.
void McpConnection::give_up(int64_t id, std::string_view reason, const McpRequestOptions& options) {
  if (options.may_cancel) (void)notify("notifications/cancelled", json_object({{"requestId", id}, {"reason", reason}}));
  channel_->abandon(id);
  const std::lock_guard lock(mutex_);
  pending_.erase(id);
}

bool McpConnection::take(std::string_view text) {
  auto messages = parse_rpc(text);
  if (!messages) {
    fault(fmt::format("{}: {}", messages.error().message, mcp_line(text, 80)));
    return !end_reason();
  }
  for (RpcMessage& message : *messages) {
    take_message(std::move(message));
    if (end_reason()) return false;
  }
  return true;
}

void McpConnection::take_message(RpcMessage message) {
  switch (message.kind) {
    case RpcMessage::Kind::result:
    case RpcMessage::Kind::error:
      return take_answer(std::move(message));
    case RpcMessage::Kind::request:
      if (spend()) take_request(message);
      return;
    case RpcMessage::Kind::notification:
      if (spend()) take_notification(message);
      return;
  }
}

// Whether the server may say one more thing that nobody asked for.
bool McpConnection::spend() {
  {
    const std::lock_guard lock(mutex_);
    const double elapsed = seconds_since(std::exchange(refilled_, Clock::now()));
    tokens_ = std::min(limits_.burst, tokens_ + elapsed * limits_.messages_per_s) - 1;
    if (tokens_ >= 0) return true;
  }
  end(fmt::format("it floods: more than {} messages a second", limits_.messages_per_s));
  return false;
}

void McpConnection::take_answer(RpcMessage message) {
  const auto id = own_id(message.id);
  std::unique_lock lock(mutex_);
  const auto found = id ? pending_.find(*id) : pending_.end();
  if (found == pending_.end() || found->second.answer) {
    const bool late = id && *id > 0 && *id < next_id_;  // to a request that was given up
    lock.unlock();
    if (late) return void(spend());
    if (message.id.is_null()) return fault("an error about a message: " + mcp_line(message.error.message));
    return fault("an answer with the id " + mcp_line(message.id.dump(), 60) + ", to no request");
  }
  if (message.kind == RpcMessage::Kind::result)
    found->second.answer = std::move(message.body);
  else
    found->second.answer = fail(message.error.code == RpcError::kInvalidParams    ? Errc::invalid_argument
                                : message.error.code == RpcError::kMethodNotFound ? Errc::unsupported
                                                                                  : Errc::io,
                                "{} (error {})", mcp_line(message.error.message, 2000), message.error.code);
  changed_.notify_all();
  lock.unlock();
  channel_->abandon(message.id);
}

void McpConnection::take_request(const RpcMessage& message) {
  std::optional<Json> answer;
  if (message.method == "ping")
    answer = Json::object();
  else if (hooks_.answer)
    answer = hooks_.answer(message.method, message.body);
  const RpcError refusal{RpcError::kMethodNotFound, fmt::format("quern does not offer {}", mcp_line(message.method, 100))};
  // A server that takes no answers will notice by itself.
  (void)channel_->send(answer ? rpc_result(message.id, std::move(*answer)) : rpc_error(message.id, refusal), Json());
}

void McpConnection::take_notification(const RpcMessage& message) {
  if (message.method == "notifications/progress")
    take_progress(message.body);
  else if (message.method == "notifications/message")
    take_log(message.body);
  else if (hooks_.on_change && message.method.ends_with("/list_changed"))
    hooks_.on_change(message.method);
}

void McpConnection::take_progress(const Json& params) {
  const Json* token = params.find("progressToken");
  const auto id = token ? own_id(*token) : std::nullopt;
  if (!id) return;
  const auto number = [&](std::string_view key) {
    const Json* value = params.find(key);
    return value && value->is_number() ? mcp_line(value->number_text(), 20) : "";
  };
  const std::string done = number("progress"), total = number("total");
  std::string line = total.empty() ? done : fmt::format("{} of {}", done, total);
  if (const std::string said = string_member(params, "message"); !said.empty()) line += (line.empty() ? "" : ": ") + mcp_line(said);
  const std::lock_guard lock(mutex_);
  const auto found = pending_.find(*id);
  if (found == pending_.end()) return;
  found->second.heard = Clock::now();
  found->second.progress = std::move(line);
}

void McpConnection::take_log(const Json& params) {
  {
    const std::lock_guard lock(mutex_);
    if (++logged_ > kMaxLogLines) return;
  }
  const Json* data = params.find("data");
  if (!hooks_.on_log || !data) return;
  const std::string text = data->is_string() ? data->as_string() : data->dump();
  hooks_.on_log(string_member(params, "level"), mcp_line(text));
}

void McpConnection::fault(const std::string& what) {
  int64_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    count = ++faults_;
  }
  if (count <= kShownFaults) warn(what + (count == kShownFaults ? " (more of the kind are not shown)" : ""));
  if (count >= limits_.faults)
    end(fmt::format("it breaks the protocol: {} messages that make no sense, the last: {}", count, what));
}

void McpConnection::end(const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (end_reason_) return;
  end_reason_ = why;
  for (auto& [id, pending] : pending_)
    if (!pending.answer) pending.answer = fail(Errc::io, "{}", why);
  changed_.notify_all();
}

void McpConnection::lose(const Json& id, const Error& why) {
  const std::lock_guard lock(mutex_);
  const auto number = own_id(id);
  const auto found = number ? pending_.find(*number) : pending_.end();
  if (found == pending_.end() || found->second.answer) return;
  found->second.answer = tl::unexpected(why);
  changed_.notify_all();
}

void McpConnection::lose_all(const Error& why) {
  const std::lock_guard lock(mutex_);
  for (auto& [id, pending] : pending_)
    if (!pending.answer) pending.answer = tl::unexpected(why);
  changed_.notify_all();
}

}  // namespace quern
