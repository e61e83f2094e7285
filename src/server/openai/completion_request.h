// What a client of /v1/completions asks for.
#pragma once

#include "server/openai/request.h"

namespace quern {

struct CompletionRequest {
  std::string model;
  std::vector<TextOrTokens> prompts;
  TurnRequest turn;  // of each prompt, without the prompt and its sampling
  OpenAiSampling sampling;
  bool echo = false, stream = false, include_usage = false;
};

Result<CompletionRequest> parse_completion_request(const Json& body);

}  // namespace quern
