// Reads a constrained turn while it is written, along its machine's states: what is reasoning, what is said, and each call's arguments as
// JSON, as soon as it is certain. Nothing is parsed a second time, and what was given out is never taken back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "constrain/turn_machine.h"

namespace quern {

struct TurnPiece {
  enum class Kind {
    reasoning,
    content,
    call_begin,  // text: the tool's name
    arguments,   // text: the next piece of the arguments' JSON
    call_end,    // a call without it was cut off and is none
  };
  Kind kind;
  std::string text;  // whole characters
  size_t call = 0;   // which of the turn's calls, from 0
  friend bool operator==(const TurnPiece&, const TurnPiece&) = default;
};

class TurnReader {
 public:
  // `machine` must outlive the reader; it may be the one the turn is generated with.
  explicit TurnReader(TurnMachine& machine);

  // Takes the next bytes, split anywhere, and adds what they bring to `events`. malformed when the machine does not accept them: they are
  // then read as far as it does.
  Result<void> read(std::string_view bytes, std::vector<TurnPiece>& events);
  // No more bytes come: gives out the text that might have become markup. White space around the text is given out only in a turn without
  // reasoning and calls.
  void finish(std::vector<TurnPiece>& events);

  struct Call {
    std::string name, arguments;  // JSON
  };
  const std::vector<Call>& calls() const { return calls_; }  // the complete ones
  bool inside_call() const;

 private:
  using Part = TurnMachine::Part;
  using Place = TurnMachine::Place;

  void take(const Place& before, const Place& after, char byte);
  void take_value(const Place& before, const Place& after, char byte);
  std::string release(std::string_view closer);
  void say(TurnPiece::Kind kind, std::string_view text);
  void arguments(std::string_view json);
  void add(TurnPiece::Kind kind, std::string_view text);

  TurnMachine& machine_;
  Machine::State state_;
  std::string text_;                          // all of it, as the machine wants it
  std::string held_;                          // the end of it that is not given out yet
  std::vector<TurnPiece>* events_ = nullptr;  // while reading
  size_t first_event_ = 0;                    // the first that this reading added
  std::string spaces_;                        // white space behind what was said, given out when more is said
  bool said_ = false, reasoned_ = false;      // something was given out of this part; there was reasoning
  std::vector<Call> calls_;
  Call call_;               // the one being read
  size_t parameters_ = 0;   // of it so far
  bool in_string_ = false;  // its quote is given out
};

}  // namespace quern
