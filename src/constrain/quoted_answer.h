// An answer that quotes documents, as a byte automaton over its JSON:
//   {"quotes": [{"document": "notes/may.md", "text": "…"}, …], "answer": "…"}
// `document` is one of the given names. With `verbatim`, `text` can only be a piece of that document, character by character: not a
// model's memory of it, nor two pieces joined. The quotes come first, so that the answer is written by somebody who has just looked
// them up.
//
// Spelled with exactly one space after ',' and ':', strings as lexer.h spells them. A verbatim quote begins with something else
// than white space and is cut between characters.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "constrain/machine.h"

namespace quern {

struct QuotedAnswerOptions {
  struct Document {
    std::string name;                        // valid UTF-8, distinct
    std::vector<std::string_view> passages;  // what of it may be quoted, valid UTF-8; needed until compiled
  };
  std::vector<Document> documents;
  bool verbatim = true;     // false: `text` is any string that is not empty
  bool thinking = false;    // the turn starts inside <think>
  int32_t max_quotes = 8;   // 1 … 255
  int32_t max_quote = 800;  // characters, 1 … 1,000,000
};

// Errors: invalid_argument (a name twice, too long or not UTF-8, limits out of their ranges), out_of_range (too much text).
// Documents with nothing to quote are left out; without any, `quotes` is empty.
Result<std::unique_ptr<Machine>> compile_quoted_answer(const QuotedAnswerOptions& options);

}  // namespace quern
