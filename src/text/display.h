// Text from files, models and programs as a terminal or a page may show it: nothing in it is obeyed, nothing hides, and it is as wide as
// it is said to be.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace quern {

enum class Lines { keep, join };  // join: line ends and tabs become spaces, for what must stay on one line

// Valid UTF-8 in which control characters are pictures (ESC is ␛) and what would reorder or hide text (bidirectional controls, tags, line
// separators) is spelt <U+202E>. Line ends are \n; \r before \n is left out.
std::string visible_text(std::string_view text, Lines lines = Lines::keep);

// `text` without the escape sequences programs colour their output with, and without what a carriage return would overwrite on its
// line; for visible_text.
std::string without_escape_sequences(std::string_view text);

// Columns a terminal gives to the text: 0 for a combining mark, 2 for a wide character, 1 for what cannot be printed.
size_t display_width(std::string_view text);
// As much of it as fits into `columns`; what is left out shows as "…" at the end.
std::string cut_to_width(std::string_view text, size_t columns);
// Cut or filled up with spaces: exactly that wide.
std::string padded_to_width(std::string_view text, size_t columns);

}  // namespace quern
