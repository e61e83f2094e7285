// The answer as it is written: its text goes to whoever watches, its quotes are kept for the check.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/documents/quotes.h"

namespace quern {

// Reads {"quotes": [{"document", "text"}…], "answer"} as it is written, and gives out the answer's text piece by piece. Whatever
// comes, it reads on; finish() says what is there.
class AnswerReader {
 public:
  explicit AnswerReader(bool thinking) : reasoning_(thinking) {}
  // What of the answer's own text became known with these bytes; whole characters where `text` is.
  std::string push(std::string_view text);
  bool in_answer() const { return in_answer_; }
  size_t quotes_begun() const { return quotes_begun_; }

  struct Answer {
    std::vector<Quote> quotes;
    std::string text;
    bool complete = false;  // the whole document was there and has this form
  };
  Answer finish() const;

 private:
  void read(char c, std::string& out);
  void string_ends();

  std::string text_;  // of the JSON document so far
  bool reasoning_;
  std::string think_tail_;
  // Where the reader is:
  int depth_ = 0;
  bool in_string_ = false, in_answer_ = false, is_key_ = false;
  int escape_ = 0;  // 1: behind a backslash; 2 … 5: hexadecimal digits to come, 6 - escape_ of them read
  char32_t unit_ = 0, high_ = 0;
  std::string string_, key_;
  size_t quotes_begun_ = 0;
  std::vector<Quote> quotes_;
  Quote quote_;
  std::string answer_;
};

}  // namespace quern
