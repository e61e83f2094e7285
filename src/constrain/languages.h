// The expressions of a constraint and the lexer that walks them; machines nested in one another share one. Not shared between threads.
#pragma once

#include "constrain/expr.h"
#include "constrain/lexer.h"

namespace quern {

struct Languages {
  explicit Languages(Exprs::Limits limits = Exprs::Limits{}) : exprs(limits), lexer(exprs) {}
  Languages(const Languages&) = delete;
  size_t bytes() const { return exprs.bytes() + lexer.bytes(); }

  Exprs exprs;
  Lexer lexer;
};

}  // namespace quern
