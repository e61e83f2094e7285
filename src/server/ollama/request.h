// What a client of Ollama's API asks for, as a turn: the bodies of /api/chat and /api/generate.
//
// Departures, and why: `template` and `suffix` are refused, since the family's formats are written down in text/ and have no place for
// them; `context` (tokens of an earlier answer, given up by Ollama itself) is refused too, and none is given. Options about how a model
// is loaded (num_ctx, num_gpu, num_thread …) are not the request's to choose: num_ctx is checked for its range, the others are not looked at.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "server/sampling_fields.h"
#include "server/turn.h"

namespace quern {

enum class OllamaCall { chat, generate };

struct OllamaRequest {
  std::string model;
  std::variant<Conversation, std::string> prompt;  // a string: raw
  bool only_load = false;                          // nothing to answer: the model is loaded, or with keep_alive 0 let go of
  SamplingFields sampling;
  int64_t max_tokens = -1;
  std::vector<std::string> stop;
  std::optional<Json> schema;
  std::optional<bool> think;
  std::optional<int64_t> thinking_tokens;  // a level's budget
  std::optional<int> top_logprobs;
  std::optional<std::chrono::duration<double>> keep_alive;  // negative: for ever
  bool stream = true;

  TurnRequest turn(const SamplingParams& defaults) const;
};

// Errors name the place, as everywhere: "messages[2].images: …".
Result<OllamaRequest> parse_ollama_request(const Json& body, OllamaCall call);

// keep_alive's value: seconds as a number, or a duration ("1h30m", "300ms", "-1"). Errors: malformed, out_of_range.
Result<std::chrono::duration<double>> parse_keep_alive(const Json& value);

// The model that a checked body names: "model", or "name" as older clients have it. Errors: malformed when there is none.
Result<std::string> ollama_model(const Json& body);

}  // namespace quern
