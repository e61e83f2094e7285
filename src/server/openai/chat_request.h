// What a client of /v1/chat/completions asks for.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "server/openai/request.h"
#include "server/turn.h"

namespace quern {

struct ChatRequest {
  std::string model;
  TurnRequest turn;  // without its sampling
  OpenAiSampling sampling;
  bool stream = false, include_usage = false;
  bool functions = false;  // asked for in the older form: the answer is in that form too
};

// Errors begin with the place: "messages[2].content[0].type: image_url: …" (invalid_argument, unsupported).
Result<ChatRequest> parse_chat_request(const Json& body);

// The text of a message's content, a string or parts of text. `place`: of it.
Result<std::string> content_text(const Json& content, std::string_view place);
// Of what a tool gave back. What cannot be read is named in its place: the model may go another way, an error could not.
Result<std::string> result_text(const Json& content, std::string_view place);

}  // namespace quern
