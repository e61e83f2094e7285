// Sets of code points that patterns name: \p{…} by general category, and what case-insensitive matching adds to a set. The tables are
// utf8proc's, so they are as old or new as its Unicode version.
#pragma once

#include <optional>
#include <string_view>

#include "constrain/expr.h"

namespace quern {

// What stands between the braces of \p{…}: a general category by its short or long name, alone or behind gc= or General_Category=, or
// one of Any, ASCII, Assigned, ASCII_Hex_Digit, White_Space. nullopt: scripts and the other binary properties, which utf8proc lacks,
// and names that do not exist.
std::optional<CharSet> unicode_class(std::string_view property);

const CharSet& unicode_white_space();  // the property White_Space

// set and every code point with the same simple case folding as one of its members.
CharSet with_other_cases(const CharSet& set);

}  // namespace quern
