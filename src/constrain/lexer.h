// A byte-level DFA over several languages at once, built as it is walked: bytes of UTF-8 become code points, JSON's escapes the characters
// they stand for, and every part's expression takes its derivative. A state keeps one expression a part; a part that cannot be completed
// any more is kNothing, and a state all of whose parts are that is kDead and never given out.
//
// Strings have one spelling: the escapes that a plain dump writes (\" \\ \b \f \n \r \t, \u00xx with small digits for other control
// characters) and everything else as it is. Not shared between threads.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "constrain/expr.h"
#include "constrain/interner.h"

namespace quern {

class Lexer {
 public:
  enum class Coding : uint8_t { text, json_string };
  static constexpr uint32_t kDead = 0;
  static constexpr uint32_t kEnd = 0xFFFFFFFF;  // json_string: the closing quote, where some part accepts

  explicit Lexer(Exprs& exprs) : exprs_(exprs) { states_.push_back(nullptr); }

  // The state at the start of a lexeme with these parts; kDead when none can be completed.
  uint32_t start(Coding coding, std::span<const ExprId> parts);
  // After one more byte: a state, kDead, or kEnd.
  uint32_t next(uint32_t state, uint8_t byte) {
    State& s = *states_[state];
    if (!s.table) s.table = new_table();
    uint32_t& entry = (*s.table)[byte];
    if (entry == kUnknown) return fill(state, byte);
    return entry;
  }
  std::span<const ExprId> parts(uint32_t state) const { return states_[state]->key.parts; }
  Coding coding(uint32_t state) const { return states_[state]->key.coding; }
  bool at_boundary(uint32_t state) const { return states_[state]->key.sub == Sub::boundary; }
  bool accepts(uint32_t state, size_t part) const { return at_boundary(state) && exprs_.nullable(states_[state]->key.parts[part]); }
  bool accepts(uint32_t state) const;

  // However the lexeme goes on with plain characters (see is_plain), it stays alive for this many of them; kForever: for any number.
  // exact: and it is dead after one more, whatever they are.
  static constexpr int kForever = 1 << 20;
  struct Reach {
    int characters = 0;
    bool exact = false;
  };
  Reach reach(uint32_t state);
  // Characters that a JSON string spells as themselves and that no common pattern treats apart.
  static bool is_plain(char32_t c) {
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x2028 && c != 0x2029 && (c < 0xD800 || c > 0xDFFF);
  }

  size_t size() const { return states_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr uint32_t kUnknown = 0xFFFFFFFE;
  enum class Sub : uint8_t { boundary, utf8, tail, escape, u, u0, u00, u000, u001 };
  struct Key {
    Coding coding = Coding::text;
    Sub sub = Sub::boundary;
    uint8_t left = 0, length = 0;  // bytes to come, bytes in all, of a UTF-8 sequence
    char32_t value = 0;            // of its bits so far; tail: whatever they are, the parts are those after the character
    std::vector<ExprId> parts;
    friend bool operator==(const Key&, const Key&) = default;
  };
  using Table = std::array<uint32_t, 256>;
  struct State {
    Key key;
    std::unique_ptr<Table> table;
    Reach reach;
    bool reach_known = false;
  };

  std::unique_ptr<Table> new_table();
  uint32_t fill(uint32_t state, uint8_t byte);
  uint32_t step(const Key& key, uint8_t byte);
  uint32_t intern(Key key);
  uint32_t take(const Key& key, char32_t c);
  bool some_live(const Key& key, char32_t first, char32_t last);
  bool all_alike(const Key& key, char32_t first, char32_t last);

  Exprs& exprs_;
  std::vector<std::unique_ptr<State>> states_;
  HashIndex ids_;
  size_t bytes_ = 0;
};

}  // namespace quern
