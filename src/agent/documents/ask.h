// A question answered from documents: read them, let the model quote and answer, check every quote.
#pragma once

#include "agent/documents/reading.h"

namespace quern {

struct AskOptions {
  ReadingOptions reading;
  bool verbatim = true;  // quotes can only be pieces of the documents; false: the model writes them freely. Checked in both cases.
  int32_t max_quotes = 8, max_quote = 800;  // characters
};

struct AskEvents {
  std::function<void(const Reading&)> on_read;
  std::function<bool(int64_t done, int64_t total)> on_prefill;  // false cancels
  std::function<bool(std::string_view text)> on_answer;         // the answer's text as it comes; false cancels
  std::function<void(size_t quotes)> on_quote;                  // how many were begun
};

struct QuotedAnswer {
  std::string text;
  std::vector<CheckedQuote> quotes;
  std::vector<int64_t> dangling;  // references in the text to quotes that are not there
  bool complete = false;          // false: cut by its budget, the context or somebody
  Reply reply;                    // what it took

  // Everything said to be in a document is there, and there is something.
  bool checks() const;
};

// Errors: those of read_for and of the engine.
Result<QuotedAnswer> ask(const Library& library, AnswerModel& model, const AskOptions& options, const AskEvents& events,
                         Reading& reading);

// {"answer", "checked", "complete", "quotes": [{"number", "document", "file", "line", "last_line", "status", "text"}], …}; a quote that repeats another one
// also has the number of that, "same_as".
Json answer_json(const QuotedAnswer& answer, const Reading& reading);

struct AnswerStyle {
  bool color = false;
};
// What stands below the answer's text: its quotes, numbered, each with where it is and whether it is right, and once, however often it was
// made; what is wrong with the answer.
std::string quotes_text(const QuotedAnswer& answer, const AnswerStyle& style);

// Text of files and models for a terminal: control characters but line breaks and tabs made visible.
std::string terminal_text(std::string_view text);

}  // namespace quern
