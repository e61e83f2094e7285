// White space at the ends of text, as the family's templates and the readers of what models write take it off: ASCII's alone.
#pragma once

#include <algorithm>
#include <string_view>

namespace quern {

constexpr std::string_view kTextSpaces = " \t\r\n";

inline std::string_view skip_spaces(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kTextSpaces), text.size()));
}

inline std::string_view trim(std::string_view text) {
  text = skip_spaces(text);
  return text.substr(0, text.find_last_not_of(kTextSpaces) + 1);  // npos + 1 is 0
}

}  // namespace quern
