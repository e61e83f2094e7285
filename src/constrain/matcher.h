// A constraint walked token by token: which tokens may come next, what they do to the state, and back again. One matcher a sequence; not
// shared between threads, nor is its machine.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "constrain/machine.h"
#include "constrain/vocabulary.h"

namespace quern {

class Matcher {
 public:
  struct Limits {
    size_t mask_bytes = 64u << 20;  // of cached masks; the oldest make room
    size_t forced_bytes = 4096;     // of one forced text
  };

  // `vocabulary` must outlive the matcher.
  Matcher(std::unique_ptr<Machine> machine, const Vocabulary& vocabulary, Limits limits);
  Matcher(std::unique_ptr<Machine> machine, const Vocabulary& vocabulary) : Matcher(std::move(machine), vocabulary, Limits{}) {}

  // The tokens that may come next; end ids where the text may end. Never empty while the text is unfinished and the vocabulary has every
  // single byte. Valid until the next call. Errors: the machine's limits (out_of_range), after which the matcher is of no use.
  Result<const TokenMask*> mask();
  // Takes a token; false, and nothing changes, when it may not come next. An end id is taken where the text may end.
  bool accept(int32_t token);
  // How many of `draft` may come one after another, starting here; the state stays where it is.
  size_t count_acceptable(std::span<const int32_t> draft);
  // Takes back the last n accepted tokens (all: n = accepted()).
  void rollback(size_t n);
  void restart() { rollback(accepted()); }  // the same constraint for another text: what was worked out stays
  size_t accepted() const { return history_.size() - 1; }
  bool can_end();                           // the text so far is complete
  bool finished() const { return ended_; }  // an end id was accepted
  // The bytes that have to come next whatever the model says, up to the first choice; empty when there is a choice now, or when the text
  // may end here.
  std::string forced();
  // The text accepted so far.
  std::string_view text() const { return text_; }
  Machine& machine() { return *machine_; }
  size_t bytes() const {
    return machine_->bytes() + cached_.size() * (mask_.words().size() * sizeof(uint64_t) + 64) + only_.size() * 32;
  }
  Machine::State state() const { return history_.back().state; }

 private:
  struct Point {
    Machine::State state;
    size_t text_bytes;
    bool ended = false;
  };
  static constexpr int kChoice = -1;
  int only_byte(Machine::State state);  // the one byte that may come next; kChoice: several, or none
  std::optional<Machine::State> walk(Machine::State state, std::string_view bytes);
  void walk_trie(const TokenTrie& trie, Machine::State from, TokenMask& mask);
  void walk_lexeme(const TokenTrie& trie, uint32_t lex, TokenMask& mask);
  const TokenMask& interior(uint32_t lex);

  std::unique_ptr<Machine> machine_;
  const Vocabulary& vocabulary_;
  Limits limits_;
  std::vector<Point> history_;
  bool ended_ = false;
  std::string text_;
  TokenMask mask_;
  std::unordered_map<uint64_t, TokenMask> masks_;      // by the machine's keys
  std::unordered_map<uint32_t, TokenMask> interiors_;  // by lexer state: tokens that stay inside the lexeme
  std::unordered_map<uint64_t, int16_t> only_;         // only_byte() by the machine's keys
  std::deque<std::pair<bool, uint64_t>> cached_;       // in the order they came; true: in interiors_
};

}  // namespace quern
