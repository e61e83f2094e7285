// What a client of Anthropic's Messages API asks for, as a turn: /v1/messages and /v1/messages/count_tokens have the same body.
//
// Departures, and why: text of several blocks is joined by line breaks, since the models know one text a message; results of tools are put
// into the order of their calls, since the models' format has no ids; an image in a tool's result becomes a note, so that a conversation
// survives a tool that took a picture, while an image that a user sent is an error. Anthropic's own tools (web_search, bash …) run on
// Anthropic's side or follow schemas of its own: they are left out, with a note. cache_control is accepted and changes nothing: states are
// kept at the end of every message anyway.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "server/sampling_fields.h"
#include "server/turn.h"

namespace quern {

struct AnthropicRequest {
  // absent: a thinking model thinks as it is used to, and is not shown doing it; disabled: it does not think; shown, and hidden
  // ("display": "omitted"): blocks of thinking, with their text or only with a signature that holds it.
  enum class Thinking { absent, disabled, shown, hidden };

  std::string model;
  Conversation conversation;
  std::string prefill;  // the last message's text, where it is the assistant's: the answer goes on from it, and does not repeat it
  ToolChoice choice;
  bool parallel_calls = true;
  std::optional<Json> schema;  // output_config.format
  SamplingFields sampling;
  int64_t max_tokens = 0;
  std::vector<std::string> stop;
  Thinking thinking = Thinking::absent;
  std::optional<int64_t> thinking_tokens;  // its budget
  std::string user;                        // metadata.user_id
  bool stream = false;
  std::vector<std::string> notes;  // what was left out, for a header and the log

  TurnRequest turn(const SamplingParams& defaults) const;
};

enum class AnthropicBody { message, count };  // count: max_tokens is not asked for, the last message may be a call

// Errors name the place: "messages[3].content[1]: image: …" (malformed, out_of_range, unsupported).
Result<AnthropicRequest> parse_anthropic_request(const Json& body, AnthropicBody kind);

// The signature of a block of thinking. Of a hidden one it holds the text, which the client sends back with it.
std::string thinking_signature(std::string_view text, bool hidden);
std::optional<std::string> hidden_thinking(std::string_view signature);

}  // namespace quern
