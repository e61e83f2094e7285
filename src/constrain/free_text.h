// What a turn may say outside of its calls, as languages.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "constrain/expr.h"

namespace quern {

// Texts none of whose lines, outside of Markdown code fences, begins like a call of one of these tools that lacks its <tool_call>. Every
// beginning of such a text is one too.
ExprId free_text(Exprs& exprs, std::span<const std::string> tools);
// Texts that `mark` is no part of.
ExprId free_of(Exprs& exprs, std::string_view mark);

}  // namespace quern
