// Values of Java and JavaScript as the leaderboard reads them: a model writes each as source text, in a string. Its reader is a handful of
// patterns, whose limits are kept (elements are cut at every comma, a map ends at the first brace), so that verdicts agree: what fits no pattern of its
// type is the name of a variable, or an expression, and stays text.
#pragma once

#include <string_view>

#include "base/json.h"

namespace quern {

enum class BfclLanguage { python, java, javascript };

// type: the documented one ("ArrayList", "Boolean"); nested: of its elements, where it has some; empty: none is documented.
Json bfcl_source_value(BfclLanguage language, std::string_view text, std::string_view type, std::string_view nested);

}  // namespace quern
