// Tokenizer: byte-level BPE as Hugging Face tokenizer.json describes it for the Qwen family (NFC, the Qwen pre-tokenizer, merges, added
// tokens). Immutable after loading; may be shared between threads (each encode call owns its scratch).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/conversation.h"
#include "text/tokenizer_parts.h"

namespace quern {

class Tokenizer {
 public:
  // Errors: not_found, malformed, or unsupported with the name of the model, normaliser or pre-tokenizer that quern does not know.
  static Result<Tokenizer> load(const std::filesystem::path& tokenizer_json);
  static Result<Tokenizer> parse(std::string_view json, std::string_view where);
  // Errors: malformed or out_of_range where the parts contradict each other (an id or text twice, a merge of no tokens), unsupported (a
  // pattern that is not one of the family's).
  static Result<Tokenizer> from_parts(const TokenizerParts& parts, std::string_view where);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // trusted: added tokens (<|im_end|>, <tool_call>, …) that occur in the text become their single ids. Not trusted: they are plain text,
  // whatever their flags. Text must be valid UTF-8 (malformed otherwise, with the offset).
  Result<std::vector<int32_t>> encode(std::string_view text, bool trusted) const;
  // The whole prompt: added tokens are matched inside trusted text only; normalisation, pre-tokenisation and merges run over the text
  // between them and across the borders of pieces, so that text without special tokens has the ids the reference gives the joined text.
  // A piece that is given as ids is these ids.
  Result<std::vector<int32_t>> encode(const Prompt& prompt) const;

  // Bytes of one token (an added token: its text); empty for ids without one. The view lives as long as the tokenizer.
  std::string_view token_bytes(int32_t id) const;
  bool is_special(int32_t id) const;  // an added token whose `special` flag is set
  bool is_added(int32_t id) const;
  int32_t find_added(std::string_view text) const;  // the id of an added token, or -1

  // The ids' bytes joined, invalid UTF-8 replaced by U+FFFD as the reference decodes; skip_special leaves out is_special ids.
  // Ids outside the vocabulary: out_of_range.
  Result<std::string> decode(std::span<const int32_t> ids, bool skip_special = false) const;

  int32_t vocab_size() const;  // one past the largest id

  struct Impl;

 private:
  explicit Tokenizer(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

// Decodes a stream: returns only whole characters; bytes of an unfinished one wait for the next token. Not shared between threads.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  std::string push(int32_t id);
  std::string finish();  // what is left, replaced by U+FFFD if it never became a character
  bool between_characters() const { return pending_.empty(); }

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
};

}  // namespace quern
