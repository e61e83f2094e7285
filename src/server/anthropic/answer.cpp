#include "server/anthropic/answer.h"

#include "server/http/status.h"

namespace quern {
namespace {

using Thinking = AnthropicRequest::Thinking;

bool is_shown(Thinking thinking) { return thinking == Thinking::shown || thinking == Thinking::hidden; }

Json usage(const TurnEnd& end) {
  return Json::Object{{"input_tokens", end.prompt_tokens - end.reused_tokens},
                      {"cache_creation_input_tokens", 0},
                      {"cache_read_input_tokens", end.reused_tokens},
                      {"output_tokens", end.tokens}};
}

std::string_view stop_reason(const TurnEnd& end) {
  switch (end.finish) {
    case FinishReason::length:
      return "max_tokens";
    case FinishReason::context:
      return "model_context_window_exceeded";
    case FinishReason::stop:
    case FinishReason::cancelled:
      break;
  }
  if (!end.stop.empty()) return "stop_sequence";
  return end.calls > 0 ? "tool_use" : "end_turn";
}

Json stop_sequence(const TurnEnd& end) { return end.stop.empty() ? Json() : Json(end.stop); }

// The message before anything is known of it but how long its prompt is.
Json message_head(const AnthropicAnswerOptions& options) {
  return Json::Object{{"id", options.id}, {"type", "message"}, {"role", "assistant"}, {"model", options.model}};
}

Json delta(int64_t index, Json change) {
  return Json::Object{{"type", "content_block_delta"}, {"index", index}, {"delta", std::move(change)}};
}

}  // namespace

std::string anthropic_event(const Json& data) {
  return fmt::format("event: {}\ndata: {}\n\n", data.find("type")->as_string(), data.dump(Json::Spacing::compact));
}

std::string anthropic_ping() { return anthropic_event(Json::Object{{"type", "ping"}}); }

Json anthropic_error(int status, std::string_view message) {
  std::string_view type = status < 500 ? "invalid_request_error" : "api_error";
  switch (status) {
    case 401:
      type = "authentication_error";
      break;
    case 403:
      type = "permission_error";
      break;
    case 404:
      type = "not_found_error";
      break;
    case 413:
      type = "request_too_large";
      break;
    case 429:
      type = "rate_limit_error";
      break;
    case 503:
      type = "overloaded_error";
      break;
    case 504:
      type = "timeout_error";
      break;
    default:
      break;
  }
  return Json::Object{{"type", "error"}, {"error", Json::Object{{"type", type}, {"message", message}}}};
}

std::string AnthropicEvents::on(const TurnUpdate& update) {
  if (const auto* begun = std::get_if<TurnBegun>(&update)) return begin(*begun);
  if (const auto* thought = std::get_if<TurnThinking>(&update)) return thinking(thought->text);
  if (const auto* said = std::get_if<TurnText>(&update)) {
    if (said->text.empty()) return "";
    std::string events = block_ == Block::text ? "" : open(Block::text, Json::Object{{"type", "text"}, {"text", ""}});
    return events + anthropic_event(delta(index_, Json::Object{{"type", "text_delta"}, {"text", said->text}}));
  }
  if (const auto* call = std::get_if<TurnCall>(&update))
    return open(Block::call, Json::Object{{"type", "tool_use"}, {"id", call->id}, {"name", call->name}, {"input", Json::object()}});
  if (const auto* arguments = std::get_if<TurnArguments>(&update))
    return anthropic_event(delta(index_, Json::Object{{"type", "input_json_delta"}, {"partial_json", arguments->json}}));
  if (const auto* ended = std::get_if<TurnEnd>(&update)) return end(*ended);
  if (const auto* failed = std::get_if<TurnFailed>(&update))
    return anthropic_event(anthropic_error(http_status(failed->error.code), failed->error.message));
  return anthropic_ping();
}

std::string AnthropicEvents::begin(const TurnBegun& begun) {
  Json message = message_head(options_);
  message["content"] = Json::array();
  message["stop_reason"] = nullptr;
  message["stop_sequence"] = nullptr;
  message["usage"] = usage({.prompt_tokens = begun.prompt_tokens});
  return anthropic_event(Json::Object{{"type", "message_start"}, {"message", std::move(message)}});
}

std::string AnthropicEvents::thinking(const std::string& text) {
  if (!is_shown(options_.thinking)) return anthropic_ping();
  std::string events;
  if (block_ != Block::thinking) {
    events = open(Block::thinking, Json::Object{{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
    thought_.clear();
  }
  thought_ += text;
  if (options_.thinking == Thinking::hidden) return events;
  return events + anthropic_event(delta(index_, Json::Object{{"type", "thinking_delta"}, {"thinking", text}}));
}

std::string AnthropicEvents::open(Block block, Json content) {
  std::string events = close();
  block_ = block;
  ++index_;
  return events +
         anthropic_event(Json::Object{{"type", "content_block_start"}, {"index", index_}, {"content_block", std::move(content)}});
}

std::string AnthropicEvents::close() {
  std::string events;
  if (block_ == Block::thinking) {
    const std::string signature = thinking_signature(thought_, options_.thinking == Thinking::hidden);
    events = anthropic_event(delta(index_, Json::Object{{"type", "signature_delta"}, {"signature", signature}}));
  }
  if (block_ != Block::none) events += anthropic_event(Json::Object{{"type", "content_block_stop"}, {"index", index_}});
  block_ = Block::none;
  return events;
}

std::string AnthropicEvents::end(const TurnEnd& end) {
  return close() +
         anthropic_event(
             Json::Object{{"type", "message_delta"},
                          {"delta", Json::Object{{"stop_reason", stop_reason(end)}, {"stop_sequence", stop_sequence(end)}}},
                          {"usage", usage(end)}}) +
         anthropic_event(Json::Object{{"type", "message_stop"}});
}

std::string& AnthropicMessage::text_of(Block::Kind kind) {
  if (blocks_.empty() || blocks_.back().kind != kind) blocks_.push_back({.kind = kind, .text = {}, .id = {}, .name = {}});
  return blocks_.back().text;
}

void AnthropicMessage::on(const TurnUpdate& update) {
  if (const auto* thought = std::get_if<TurnThinking>(&update)) {
    if (is_shown(options_.thinking)) text_of(Block::Kind::thinking) += thought->text;
  } else if (const auto* said = std::get_if<TurnText>(&update)) {
    if (!said->text.empty()) text_of(Block::Kind::text) += said->text;
  } else if (const auto* call = std::get_if<TurnCall>(&update)) {
    blocks_.push_back({.kind = Block::Kind::call, .text = {}, .id = call->id, .name = call->name});
  } else if (const auto* arguments = std::get_if<TurnArguments>(&update)) {
    text_of(Block::Kind::call) += arguments->json;
  } else if (const auto* ended = std::get_if<TurnEnd>(&update)) {
    end_ = *ended;
  }
}

Json AnthropicMessage::block(const Block& block) const {
  if (block.kind == Block::Kind::text) return Json::Object{{"type", "text"}, {"text", block.text}};
  if (block.kind == Block::Kind::thinking) {
    const bool hidden = options_.thinking == Thinking::hidden;
    return Json::Object{{"type", "thinking"},
                        {"thinking", hidden ? std::string() : block.text},
                        {"signature", thinking_signature(block.text, hidden)}};
  }
  // Arguments that max_tokens cut off: no call, and the client sees the reason.
  const auto input = Json::parse(block.text.empty() ? "{}" : block.text, "arguments");
  if (!input) return Json();
  return Json::Object{{"type", "tool_use"}, {"id", block.id}, {"name", block.name}, {"input", *input}};
}

Json AnthropicMessage::message() const {
  Json message = message_head(options_), content = Json::array();
  for (const Block& part : blocks_)
    if (Json json = block(part); !json.is_null()) content.push_back(std::move(json));
  message["content"] = std::move(content);
  message["stop_reason"] = stop_reason(end_);
  message["stop_sequence"] = stop_sequence(end_);
  message["usage"] = usage(end_);
  return message;
}

}  // namespace quern
