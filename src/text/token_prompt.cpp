#include "text/token_prompt.h"

namespace quern {

Result<TokenPrompt> encode_with_boundaries(const Tokenizer& tokenizer, const Prompt& prompt) {
  TokenPrompt encoded;
  QUERN_ASSIGN(encoded.ids, tokenizer.encode(prompt));
  const int32_t end_of_turn = tokenizer.find_added("<|im_end|>");
  // Only the format's own markup becomes this id: it marks messages, never what somebody wrote into one.
  for (size_t i = 0; end_of_turn >= 0 && i < encoded.ids.size(); ++i)
    if (encoded.ids[i] == end_of_turn) encoded.boundaries.push_back(i + 1);
  return encoded;
}

}  // namespace quern
