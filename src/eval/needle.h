// Needle in a haystack: one fact at a chosen depth of a prompt of a chosen length, and a last turn that needs it. Two kinds:
//   prose  sentences about nothing in particular, one of which holds a number; a question at the end asks for it
//   tools  a conversation of the episodes' generator: earlier turns with the file tools, then a request that says which files belong into
//          which folder, then moves; the last move is asked for, and its folder stands in the request alone
// A trial's needle and fillers are the same at every length and depth. The same request gives the same task.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "eval/words.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace quern {

enum class NeedleKind { prose, tools };
std::string_view needle_kind_name(NeedleKind kind);

struct NeedleRequest {
  NeedleKind kind = NeedleKind::prose;
  int64_t length = 0;  // tokens of the prompt; 0: the needle without a haystack
  double depth = 0;    // 0 to 1: the share of the haystack that stands before the needle
  uint64_t seed = 0;
  Split split = Split::training;  // whose words
  ChatFormat format = ChatFormat::instruct;
};

struct NeedleTask {
  Conversation conversation;  // up to the turn that needs the needle
  std::string needle;         // as it stands in the conversation, once
  std::string value;          // prose: what the answer must contain
  ToolCall call;              // tools: what the turn must call
  int64_t tokens = 0;         // of the prompt: at most the length, and short of it by less than a piece of haystack
};

// Errors: out_of_range (the needle and its question alone are longer than that); those of the tokenizer.
Result<NeedleTask> make_needle(const NeedleRequest& request, const Tokenizer& tokenizer);

// Whether a reply, as generated, has the needle. Prose: the answer (not the reasoning) contains the number, with or without separators
// between its digits. Tools: the first call is the task's, with these arguments and no others.
bool has_needle(const NeedleTask& task, NeedleKind kind, std::string_view reply, ChatFormat format);

// The prompt's tokens.
Result<int64_t> count_tokens(const Conversation& conversation, ChatFormat format, const Tokenizer& tokenizer);

// One kind each; make_needle chooses.
Result<NeedleTask> make_prose_needle(const NeedleRequest& request, const Tokenizer& tokenizer);
Result<NeedleTask> make_tools_needle(const NeedleRequest& request, const Tokenizer& tokenizer);

}  // namespace quern
