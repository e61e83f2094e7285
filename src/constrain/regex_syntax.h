// The tree of a pattern: syntax only, ECMA-262's with what schemas written for Python or for JavaScript without the u flag contain. Sets
// are final here: case folding and class escapes are done, surrogates gone. See regex.h for what becomes of it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "constrain/expr.h"

namespace quern {

struct RegexNode {
  using Id = int;
  enum class Kind { set, sequence, choice, repeat, start, end, boundary, no_boundary, ahead, not_ahead };
  struct Assertions {  // which kinds are in a subtree
    bool start = false, end = false, boundary = false, look = false;
  };

  Kind kind;
  CharSet set;               // set
  std::vector<Id> children;  // sequence, choice: in order; repeat, ahead, not_ahead: one
  int64_t min = 1, max = 1;  // repeat; max Exprs::kUnbounded
  Assertions holds;
};

struct RegexTree {
  std::vector<RegexNode> nodes;  // children before their parents
  RegexNode::Id root = 0;
};

// Errors as parse_regex has them, without the pattern. No deeper than 200 levels.
Result<RegexTree> parse_regex_syntax(std::string_view pattern);

// [0-9A-Za-z_]
const CharSet& regex_word_chars();

}  // namespace quern
