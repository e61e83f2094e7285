// A turn as Anthropic's Messages API tells it: as events while it goes on, or as one message at its end.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/anthropic/request.h"
#include "server/turn.h"

namespace quern {

struct AnthropicAnswerOptions {
  std::string id, model;  // "msg_…"; as the client named it
  AnthropicRequest::Thinking thinking = AnthropicRequest::Thinking::absent;
};

// One event of a stream of server-sent events: "event: ping\ndata: {…}\n\n", where `event` is the data's type.
std::string anthropic_event(const Json& data);
std::string anthropic_ping();
// {"type": "error", "error": {"type": "invalid_request_error", "message": …}}
Json anthropic_error(int status, std::string_view message);

// Its updates become events' bytes; what is not shown becomes pings or nothing.
class AnthropicEvents {
 public:
  explicit AnthropicEvents(AnthropicAnswerOptions options) : options_(std::move(options)) {}
  std::string on(const TurnUpdate& update);

 private:
  enum class Block { none, thinking, text, call };
  std::string begin(const TurnBegun& begun);
  std::string thinking(const std::string& text);
  std::string open(Block block, Json content);  // closes the one before
  std::string close();
  std::string end(const TurnEnd& end);

  AnthropicAnswerOptions options_;
  Block block_ = Block::none;
  int64_t index_ = -1;
  std::string thought_;
};

// Its updates become one message.
class AnthropicMessage {
 public:
  explicit AnthropicMessage(AnthropicAnswerOptions options) : options_(std::move(options)) {}
  void on(const TurnUpdate& update);
  Json message() const;  // after TurnEnd

 private:
  struct Block {
    enum class Kind { thinking, text, call } kind;
    std::string text;  // or the call's arguments
    std::string id, name;
  };
  std::string& text_of(Block::Kind kind);
  Json block(const Block& block) const;

  AnthropicAnswerOptions options_;
  std::vector<Block> blocks_;
  TurnEnd end_;
};

}  // namespace quern
