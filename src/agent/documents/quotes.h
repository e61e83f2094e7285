// Quotes, checked against the documents they name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/documents/library.h"

namespace quern {

struct Quote {
  std::string document, text;
};

enum class QuoteStatus {
  verbatim,        // in the document it names, byte for byte
  spacing,         // there, but for line breaks and other white space
  other_document,  // verbatim in another one
  missing,         // nowhere
};
std::string_view quote_status_name(QuoteStatus status);  // "verbatim", "verbatim up to spacing", "in another document", "not found"

struct CheckedQuote {
  Quote quote;
  QuoteStatus status = QuoteStatus::missing;
  std::string place;                      // the file it was found in, or the one it names; empty: no such document
  int32_t first_line = 0, last_line = 0;  // of that file, from 1 (pages, where `pages`); 0: not found
  bool pages = false;

  bool stands() const { return status == QuoteStatus::verbatim || status == QuoteStatus::spacing; }
};

// A document and the parts of it that the model saw; a quote is looked for there first, then in the rest.
struct QuotedSource {
  const Document* document = nullptr;
  std::vector<std::pair<size_t, size_t>> shown;  // begin, end; in order
};
CheckedQuote check_quote(const Quote& quote, std::span<const QuotedSource> sources);

// Which earlier one of `quotes` the one at `index` repeats: the same words, but for white space, from the same document. Models do that; it
// is shown once, under both numbers.
std::optional<size_t> repeated_quote(std::span<const CheckedQuote> quotes, size_t index);

// The numbers behind statements, "[2]", that refer to no quote.
std::vector<int64_t> dangling_references(std::string_view answer, size_t quotes);

}  // namespace quern
