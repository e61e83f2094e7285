// Thought: whether a model is thinking just now, and how long it has been, told by the tokens <think> and </think> alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/tokenizer.h"

namespace quern {

class Thought {
 public:
  // It is open at the start when the prompt's last turn has opened it.
  Thought(const Tokenizer* tokenizer, std::span<const int32_t> prompt);

  void push(int32_t id);  // a generated token
  bool open() const { return open_; }
  int64_t tokens() const { return tokens_; }  // generated inside, </think> included

  // What ends it after `last`, the token that stands in front.
  struct Closing {
    std::vector<int32_t> before;  // the line it stands on is ended first
    int32_t tag = -1;
    std::vector<int32_t> behind;  // as the chat format goes on
  };
  Closing closing(int32_t last) const;

 private:
  const Tokenizer* tokenizer_;
  int32_t begin_ = -1, end_ = -1;
  bool open_ = false, first_ = true;
  int64_t tokens_ = 0;
};

}  // namespace quern
