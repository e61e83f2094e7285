// A prompt as tokens, with the places at which a later prompt of the same conversation, or of another that begins alike, may part from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "text/conversation.h"
#include "text/tokenizer.h"

namespace quern {

struct TokenPrompt {
  std::vector<int32_t> ids;
  // Positions behind each message's end-of-turn token, rising: the first is the end of the system prompt with its tools, where there is
  // one. No token lies across a boundary, whatever follows it, and reading is cut there in any case (runtime/timeline.h), so a state kept
  // at one is, bit for bit, what a reading without a pause passes through.
  std::vector<size_t> boundaries;
};

// Errors: what Tokenizer::encode says.
Result<TokenPrompt> encode_with_boundaries(const Tokenizer& tokenizer, const Prompt& prompt);

}  // namespace quern
