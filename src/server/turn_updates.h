// Generated tokens as what a client is told: reasoning, text and calls, each piece as soon as it is certain.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "constrain/turn_reader.h"
#include "server/turn.h"

namespace quern {

class TurnUpdates {
 public:
  struct Options {
    bool raw = false;       // all of it is text, whatever it looks like; with a machine, calls are told besides
    bool thinking = false;  // the turn begins inside <think>
    // What the turn is held to, which must outlive this; nullptr: nothing, and there are no calls in it.
    TurnMachine* machine = nullptr;
    const Tokenizer* tokenizer = nullptr;
    bool logprobs = false;
  };
  explicit TurnUpdates(const Options& options);

  // Text that the turn begins with, of which nothing is told.
  Result<void> skip(std::string_view text);
  // Adds what the token brings. malformed: the machine does not accept it.
  Result<void> token(const GeneratedToken& token, std::vector<TurnUpdate>& updates);
  // Nothing follows: what was held back because it might have become markup.
  void finish(std::vector<TurnUpdate>& updates);

  int64_t calls() const { return reader_ ? static_cast<int64_t>(reader_->calls().size()) : 0; }  // complete ones

 private:
  void give(std::vector<TurnPiece>& pieces, std::vector<TurnUpdate>& updates);
  void say(std::string text, std::vector<TurnUpdate>& updates);

  const bool raw_;
  const Tokenizer* const tokenizer_;
  const bool logprobs_;
  std::unique_ptr<TurnMachine> free_;   // where no other machine is given
  std::optional<TurnReader> reader_;    // unless raw, or for its calls alone
  std::vector<TokenLogprobs> waiting_;  // of tokens whose text is not given out yet
};

}  // namespace quern
