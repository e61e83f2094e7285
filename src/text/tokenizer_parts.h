// What a byte-level BPE tokenizer is made of, as views into the file that brings it: tokenizer.json or GGUF metadata. The views must
// outlive Tokenizer::from_parts, which checks the parts against each other and keeps nothing of them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace quern {

struct TokenizerParts {
  struct Token {
    std::string_view text;  // in GPT-2's printable alphabet for bytes
    int64_t id = 0;
  };
  struct Merge {
    std::string_view left, right;  // in the same alphabet
  };
  struct Added {
    std::string_view text;  // itself
    int64_t id = 0;
    bool special = false;
  };
  std::string_view pattern;  // the pre-tokenizer's regular expression
  bool nfc = false;
  std::vector<Token> vocabulary;
  std::vector<Merge> merges;  // in order of rank
  std::vector<Added> added;   // an id that the vocabulary has too means the added token
  // What messages call these lists.
  std::string_view vocabulary_field = "model.vocab", merges_field = "model.merges", added_field = "added_tokens";
};

// "a b" at its first space; both are empty where there is none.
TokenizerParts::Merge split_merge(std::string_view text);

// Errors: malformed, or unsupported with the name of the model, normaliser or pre-tokenizer that quern does not know.
Result<TokenizerParts> tokenizer_json_parts(const Json& root, std::string_view where);
// The parts as tokenizer.json, as the family's published ones are.
Json tokenizer_json(const TokenizerParts& parts);

}  // namespace quern
