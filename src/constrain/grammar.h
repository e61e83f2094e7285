// Context-free grammars as GBNF files write them (llama.cpp's EBNF: `name ::= …`, "literals", [classes], groups, | * + ? {m,n}),
// read into a small tree per rule. What the reader gives is clean: every rule is reachable from the root and derives at least one
// text, every alternative too, so whoever walks it never meets a dead end.
//
// Departures from llama.cpp: left recursion is welcome; a rule that is defined twice, a class that is written empty and a range
// that runs backwards are errors; references to tokens (<think>, <[1000]>) are refused by name; {m,n} means what it says past 2,000
// too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "constrain/expr.h"

namespace quern {

struct Grammar {
  struct Limits {
    size_t text_bytes = size_t{1} << 20;
    size_t rules = 10'000;
    size_t nodes = 200'000;
    int32_t depth = 600;  // of groups and repetitions inside one another
    int64_t repetitions = 10'000;
  };

  enum class Kind : uint8_t { literal, chars, rule, sequence, choice, repeat };
  struct Node {
    Kind kind = Kind::sequence;
    std::string text;            // literal: UTF-8, may be empty
    CharSet chars;               // chars: no surrogates; not empty
    int32_t rule = -1;           // rule: index
    std::vector<int32_t> parts;  // sequence (may be empty: the empty text), choice: at least one, repeat: exactly one
    int64_t min = 0, max = 0;    // repeat; max may be Exprs::kUnbounded
  };
  struct Rule {
    std::string name;
    int32_t body = -1;
  };
  static constexpr int32_t kRoot = 0;

  std::vector<Node> nodes;  // a tree for each rule; parts come before what they are parts of
  std::vector<Rule> rules;  // the first is the root

  // Errors are one line and begin with the place: "grammar:3:14: undefined rule 'foo'".
  static Result<Grammar> parse(std::string_view gbnf, const Limits& limits);
  static Result<Grammar> parse(std::string_view gbnf) { return parse(gbnf, Limits{}); }

  // Least fixpoint of "a node holds once missing[node] of its parts hold"; of a rule reference the part is the rule's body. The
  // nodes that hold, each after the parts that made it hold. Linear.
  std::vector<int32_t> saturate(std::vector<int32_t> missing) const;
};

}  // namespace quern
