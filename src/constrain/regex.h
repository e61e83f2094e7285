// Patterns of JSON Schema to languages: ECMA-262 with the u flag's meaning (texts are code points), tolerant of what schemas written for
// Python or for JavaScript without that flag contain. Anchors, word boundaries and lookahead are translated exactly or refused.
#pragma once

#include <string_view>

#include "base/result.h"
#include "constrain/expr.h"

namespace quern {

enum class RegexSemantics {
  search,  // somewhere in the text, as JSON Schema's `pattern` has it
  whole,   // the pattern is the whole text
};

// Errc::malformed: not a pattern. Errc::unsupported: a pattern whose language is not regular or not translated (backreferences,
// lookbehind, some assertions inside unbounded repetition, scripts), or that means different things to ECMA-262 and Python.
// Errc::out_of_range: past a limit of this function or of `exprs`, which is then exhausted().
Result<ExprId> parse_regex(Exprs& exprs, std::string_view pattern, RegexSemantics semantics);

}  // namespace quern
