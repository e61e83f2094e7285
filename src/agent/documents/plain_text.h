// Files as text that a model can read and a quote can be checked against: valid UTF-8 with '\n' between lines, and for each line
// the one of the source it comes from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quern {

struct PlainText {
  std::string text;
  std::vector<int32_t> lines;  // the source's line (page, where `pages`) of each line of text, from 1; empty: the same
  bool pages = false;
  size_t replaced = 0;  // invalid bytes and NULs that became U+FFFD

  // Of the byte at `offset`.
  int32_t line_at(size_t offset) const;
};

enum class TextKind { text, html, pdf, binary };
// By the name's ending and the first bytes.
TextKind text_kind(std::string_view name, std::string_view bytes);

// UTF-8, or UTF-16 with a byte order mark, which is left out.
PlainText plain_text(std::string_view bytes);
// What a page says: no tags, scripts, styles or comments, entities resolved, white space as a browser folds it. Made for reading,
// not exact: any bytes give some text.
PlainText html_text(std::string_view bytes);
// The text that pdftotext wrote, with a form feed behind each page.
PlainText pdf_pages(std::string_view text);

}  // namespace quern
