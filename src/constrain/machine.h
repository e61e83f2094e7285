// A byte automaton, as masks, forced text and rollback see it: a JSON Schema, a grammar, a regular expression, a whole assistant turn.
// States are small values over the machine's own interned memory. Every state that step() gives can be continued to an accepted text: a
// machine never walks into a dead end. Not shared between threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace quern {

class Lexer;

class Machine {
 public:
  struct State {
    uint32_t control = 0;  // the machine's own
    uint32_t lex = 0;      // inside a lexeme: the state of lexer(); 0 elsewhere
    uint32_t mark = 0;     // the machine's own; often where in `text` the lexeme began
    friend bool operator==(const State&, const State&) = default;
  };

  virtual ~Machine() = default;
  virtual State start() = 0;
  // The state after one more byte; nothing when no accepted text goes on like this. `text`: all bytes before this one, from the start.
  virtual std::optional<State> step(State state, uint8_t byte, std::string_view text) = 0;
  // The same state for a text that will stay: what walking ahead left to be worked out later is worked out. `text`: all bytes so far.
  virtual State settle(State state, std::string_view text) {
    static_cast<void>(text);
    return state;
  }
  // May the text end here? `text`: all bytes so far.
  virtual bool can_end(State state, std::string_view text) = 0;

  // Whose bytes a lexeme's state (lex != 0) reads, until one of them is no part of the lexeme and goes to step(). nullptr: no lexemes.
  virtual Lexer* lexer() { return nullptr; }
  // States with equal keys have equal futures, whatever their text: what a mask may be cached under. nullopt: never cache.
  virtual std::optional<uint64_t> key(State state) { return (static_cast<uint64_t>(state.control) << 32) | state.lex; }
  // Memory limits reached: every later answer may be wrong, and the caller must stop with this error.
  virtual Result<void> healthy() const { return {}; }
  virtual size_t bytes() const = 0;  // memory held, for bounded caches
};

}  // namespace quern
