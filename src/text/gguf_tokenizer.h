// A tokenizer as GGUF metadata (tokenizer.ggml.*), read and written. The model is "gpt2" (byte-level BPE), the pre-tokenizer "qwen2" or
// "qwen35", which stand for the family's pattern with NFC. Source: spec of the published checkpoints, "GGUF".
//
// tokens holds a text for each id: of normal tokens (type 1) in GPT-2's byte alphabet, of control (3) and user-defined ones (4) the text
// itself. Control tokens are the added ones with the flag `special`, user-defined ones those without. Unused ids (5) have no token.
#pragma once

#include <optional>
#include <string>

#include "formats/gguf_metadata.h"
#include "formats/gguf_writer.h"
#include "text/tokenizer.h"

namespace quern {

// Both: none where tokenizer.ggml.model is absent or "no_vocab". Errors: unsupported (another model or pre-tokenizer, tokens added in front
// or at the end, a token type), not_found and malformed (keys); of the second also those of Tokenizer::from_parts.
Result<std::optional<TokenizerParts>> gguf_tokenizer_parts(const GgufMetadata& metadata);  // views into it
Result<std::optional<Tokenizer>> gguf_tokenizer(const GgufMetadata& metadata);

// tokenizer.chat_template, or empty. Errors: malformed (not a string of UTF-8).
Result<std::string> gguf_chat_template(const GgufMetadata& metadata);

struct GgufTokenizerIds {
  int64_t vocab_size = 0;  // tokens listed; ids without a token are called "[PADn]" and are unused
  std::optional<int64_t> eos, padding, bos;
};

// Adds tokenizer.ggml.*. Errors: those of Tokenizer::from_parts; unsupported (no NFC); out_of_range (a token or an id past vocab_size).
Result<void> add_gguf_tokenizer(const TokenizerParts& parts, const GgufTokenizerIds& ids, std::string_view where,
                                GgufKeyValues& out);

// For a model without a tokenizer.
void add_gguf_no_tokenizer(GgufKeyValues& out);

}  // namespace quern
