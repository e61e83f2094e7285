#include "agent/documents/quotes.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace quern {
namespace {

bool is_space(char c) { return c == ' ' || (c >= 9 && c <= 13); }

struct Found {
  size_t begin, end;  // of the document's text
};

// The first place inside what was shown, or else the first one anywhere.
std::optional<Found> find_verbatim(const QuotedSource& source, std::string_view quote) {
  const std::string_view text = source.document->content.text;
  if (std::all_of(quote.begin(), quote.end(), is_space)) return std::nullopt;  // that is everywhere, and says nothing
  for (const auto& [begin, end] : source.shown)
    if (const size_t at = text.substr(begin, end - begin).find(quote); at != std::string_view::npos)
      return Found{begin + at, begin + at + quote.size()};
  const size_t at = text.find(quote);
  if (at == std::string_view::npos) return std::nullopt;
  return Found{at, at + quote.size()};
}

// Runs of white space as one space, none at the ends; `offsets` gets where each byte came from.
std::string folded(std::string_view text, std::vector<size_t>* offsets) {
  std::string out;
  bool space = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_space(text[i])) {
      space = !out.empty();
      continue;
    }
    if (space) {
      out += ' ';
      if (offsets) offsets->push_back(i);
    }
    space = false;
    out += text[i];
    if (offsets) offsets->push_back(i);
  }
  return out;
}

std::optional<Found> find_folded(const Document& document, std::string_view quote) {
  const std::string wanted = folded(quote, nullptr);
  if (wanted.empty()) return std::nullopt;
  std::vector<size_t> offsets;
  const std::string text = folded(document.content.text, &offsets);
  const size_t at = text.find(wanted);
  if (at == std::string::npos) return std::nullopt;
  return Found{offsets[at], offsets[at + wanted.size() - 1] + 1};
}

void place(CheckedQuote& checked, QuoteStatus status, const Document& document, std::optional<Found> found) {
  checked.status = status;
  checked.place = document.place;
  checked.pages = document.content.pages;
  if (!found) return;
  checked.first_line = document.content.line_at(found->begin);
  checked.last_line = document.content.line_at(found->end - 1);
}

}  // namespace

std::string_view quote_status_name(QuoteStatus status) {
  constexpr std::string_view kNames[] = {"verbatim", "verbatim up to spacing", "in another document", "not found"};
  return kNames[static_cast<size_t>(status)];
}

CheckedQuote check_quote(const Quote& quote, std::span<const QuotedSource> sources) {
  CheckedQuote checked{.quote = quote, .place = {}};
  const auto named =
      std::find_if(sources.begin(), sources.end(), [&](const QuotedSource& s) { return s.document->name == quote.document; });
  if (named != sources.end()) {
    if (const auto found = find_verbatim(*named, quote.text)) {
      place(checked, QuoteStatus::verbatim, *named->document, found);
      return checked;
    }
    if (const auto found = find_folded(*named->document, quote.text)) {
      place(checked, QuoteStatus::spacing, *named->document, found);
      return checked;
    }
    place(checked, QuoteStatus::missing, *named->document, std::nullopt);
  }
  for (const QuotedSource& source : sources)
    if (const auto found = find_verbatim(source, quote.text)) {
      place(checked, QuoteStatus::other_document, *source.document, found);
      break;
    }
  return checked;
}

std::optional<size_t> repeated_quote(std::span<const CheckedQuote> quotes, size_t index) {
  const CheckedQuote& quote = quotes[index];
  const std::string words = folded(quote.quote.text, nullptr);
  for (size_t i = 0; i < index; ++i)
    if (quotes[i].quote.document == quote.quote.document && folded(quotes[i].quote.text, nullptr) == words) return i;
  return std::nullopt;
}

std::vector<int64_t> dangling_references(std::string_view answer, size_t quotes) {
  std::vector<int64_t> dangling;
  for (size_t open = answer.find('['); open != std::string_view::npos; open = answer.find('[', open + 1)) {
    const size_t close = answer.find(']', open);
    if (close == std::string_view::npos) break;
    std::string_view inside = answer.substr(open + 1, close - open - 1);  // "2" or "1, 3"
    if (inside.empty() || inside.find_first_not_of("0123456789, ") != std::string_view::npos) continue;
    for (const char* at = inside.data(); at < inside.data() + inside.size();) {
      int64_t number = 0;
      const auto [end, status] = std::from_chars(at, inside.data() + inside.size(), number);
      if (end != at && (status != std::errc() || number < 1 || number > static_cast<int64_t>(quotes)) &&
          std::find(dangling.begin(), dangling.end(), number) == dangling.end())
        dangling.push_back(number);
      at = end == at ? at + 1 : end;
    }
  }
  return dangling;
}

}  // namespace quern
