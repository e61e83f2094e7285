// Sample: the tokens on which a model is measured. A text file, a file of conversations, or what the generator of episodes makes; cut into
// documents, each of which a model reads from its beginning.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "eval/words.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace quern {

struct SampleDocument {
  std::vector<int32_t> ids;
  std::vector<bool> spoken;  // of each id: whether the assistant says it; empty where this is no conversation
};

struct Sample {
  std::string source;  // where it comes from, for people
  std::vector<SampleDocument> documents;

  int64_t tokens() const;
  std::vector<std::vector<int32_t>> ids() const;  // of each document
};

struct SampleRequest {
  std::filesystem::path file;  // empty: the built-in sample
  Split split = Split::held_out;
  int64_t max_tokens = 8192;  // the last document is cut there
  int64_t context = 8192;     // no document is longer
  ChatFormat format = ChatFormat::instruct;
};

// FILE.jsonl: a line is {"messages": […], "tools": […]} as `quern render` takes it, or {"text": …}. Any other file: plain text, in documents
// of 2,048 tokens, or of the context where that is less; it is looked at as far as it is needed. Special tokens are parsed in neither's
// text. Without a file: for models with tool calls (their tokenizer has <tool_call>) conversations of the episodes' generator, the same each
// time; for others a page of prose.
// Errors: those of reading the file and of the tokenizer, naming the line; malformed (a file of fewer than two tokens).
Result<Sample> make_sample(const SampleRequest& request, const Tokenizer& tokenizer);

// Whether the tokenizer has the chat formats' <|im_start|> and <|im_end|>.
bool has_turn_tokens(const Tokenizer& tokenizer);
// Of each id of a rendered conversation: whether the assistant says it, its end of turn included, its header not.
Result<std::vector<bool>> spoken_by_assistant(std::span<const int32_t> ids, const Tokenizer& tokenizer);

}  // namespace quern
