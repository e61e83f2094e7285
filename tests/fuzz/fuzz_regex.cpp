// Arbitrary bytes as a pattern, then texts through its language: the parser fails with an error or gives a language; walking a text by
// derivatives agrees with matching it; a text that matches as a whole is found by a search; a dead state never accepts.
#include <string>

#include "base/random.h"
#include "base/utf8.h"
#include "constrain/regex.h"
#include "fuzz.h"

using namespace quern;

namespace {

std::string random_text(Random& random, std::string_view pattern) {
  std::string text;
  for (uint64_t length = random.below(12); length > 0; --length) {
    if (random.chance(0.7))
      text += pattern[random.below(pattern.size())];  // a pattern's own characters get further into it
    else
      append_utf8(text, random.pick(std::u32string_view(U"ab0_ -\n\u00E9\u2028\U0001F432")));
  }
  return replace_invalid_utf8(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view pattern = fuzz::text_of(data, size);
  if (pattern.empty() || pattern.size() > 2'000) return 0;
  Exprs exprs({.nodes = 20'000, .transition_ranges = 100'000, .search_states = 500});
  const auto whole = parse_regex(exprs, pattern, RegexSemantics::whole);
  const auto search = parse_regex(exprs, pattern, RegexSemantics::search);
  if (!fuzz::succeeded(whole) || !fuzz::succeeded(search)) return 0;
  QUERN_CHECK(!exprs.exhausted());

  Random random(fnv1a_64(pattern));
  for (int i = 0; i < 8; ++i) {
    const std::string text = random_text(random, pattern);
    ExprId state = *whole;
    bool was_live = true;
    for (size_t at = 0; at < text.size();) {
      const size_t length = static_cast<unsigned char>(text[at]) < 0x80   ? 1
                            : static_cast<unsigned char>(text[at]) < 0xE0 ? 2
                            : static_cast<unsigned char>(text[at]) < 0xF0 ? 3
                                                                          : 4;
      const std::string character = text.substr(at, length);
      at += length;
      // The derivative by one character, found through the pieces and through a literal in front.
      char32_t c = static_cast<unsigned char>(character[0]);
      if (length > 1) c &= 0x7Fu >> length;
      for (size_t k = 1; k < length; ++k) c = (c << 6) | (static_cast<unsigned char>(character[k]) & 0x3Fu);
      state = exprs.derivative(state, c);
      const bool is_live = exprs.live(state);
      if (exprs.exhausted()) return 0;
      QUERN_CHECK(was_live || !is_live, pattern, text);
      was_live = is_live;
    }
    QUERN_CHECK(was_live || !exprs.nullable(state), pattern, text);
    const bool matches = exprs.matches(*whole, text), found = exprs.matches(*search, text);
    if (exprs.exhausted()) return 0;
    QUERN_CHECK(matches == exprs.nullable(state), pattern, text);
    QUERN_CHECK(!matches || found, pattern, text);
  }
  return 0;
}
