#include "constrain/lexer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/json.h"
#include "base/utf8.h"
#include "constrain/regex.h"

namespace quern {
namespace {

using Coding = Lexer::Coding;

class LexerTest : public testing::Test {
 protected:
  ExprId pattern(std::string_view text) {
    const auto e = parse_regex(exprs, text, RegexSemantics::search);
    EXPECT_TRUE(e) << e.error().message;
    return e.value_or(Exprs::kNothing);
  }
  uint32_t start(Coding coding, std::vector<ExprId> parts) { return lexer.start(coding, parts); }
  // After these bytes; kDead from the first that is refused, kEnd only after the last.
  uint32_t after(uint32_t state, std::string_view bytes) {
    for (const char byte : bytes) {
      if (state == Lexer::kDead) return state;
      if (state == Lexer::kEnd) return Lexer::kDead;
      state = lexer.next(state, static_cast<uint8_t>(byte));
    }
    return state;
  }
  bool alive(uint32_t state, std::string_view bytes) { return after(state, bytes) != Lexer::kDead; }
  // What `state` goes on with, one byte.
  std::string choices(uint32_t state) {
    std::string out;
    for (int byte = 0; byte < 256; ++byte)
      if (lexer.next(state, static_cast<uint8_t>(byte)) != Lexer::kDead) out += static_cast<char>(byte);
    return out;
  }

  Exprs exprs;
  Lexer lexer{exprs};
};

TEST_F(LexerTest, StringsHaveTheEscapesOfAPlainDumpAndNoOthers) {
  const uint32_t s = start(Coding::json_string, {Exprs::kAll});
  EXPECT_EQ(choices(after(s, "\\")), "\"\\bfnrtu");
  EXPECT_EQ(choices(after(s, "\\u")), "0");
  EXPECT_EQ(choices(after(s, "\\u0")), "0");
  EXPECT_EQ(choices(after(s, "\\u00")), "01");
  EXPECT_EQ(choices(after(s, "\\u000")), "01234567bef");  // 8 9 a c d have letters
  EXPECT_EQ(choices(after(s, "\\u001")), "0123456789abcdef");
  EXPECT_EQ(choices(after(s, "\\u001f")), choices(s));
}

TEST_F(LexerTest, StringsHaveNoRawControlCharacters) {
  const uint32_t s = start(Coding::json_string, {Exprs::kAll});
  for (int byte = 0; byte < 0x20; ++byte) EXPECT_FALSE(alive(s, std::string(1, static_cast<char>(byte)))) << byte;
  EXPECT_TRUE(alive(s, " \x7f/'"));
}

TEST_F(LexerTest, EveryCharacterHasExactlyTheSpellingThatAJsonDumpGivesIt) {
  const uint32_t s = start(Coding::json_string, {Exprs::kAll});
  for (char32_t c = 0; c <= kLastCodePoint; c += c < 0x300 ? 1 : 777) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, c);
    const std::string dump = Json(text).dump();
    EXPECT_EQ(after(s, dump.substr(1)), Lexer::kEnd) << dump;
    // It is that character which was read, and no other.
    const uint32_t only = start(Coding::json_string, {exprs.chars(CharSet::one(c))});
    EXPECT_EQ(after(only, dump.substr(1)), Lexer::kEnd) << dump;
    const uint32_t others = start(Coding::json_string, {exprs.chars(CharSet::one(c).complement())});
    EXPECT_EQ(after(others, dump.substr(1)), Lexer::kDead) << dump;
  }
}

TEST_F(LexerTest, AnEscapeIsOpenedOnlyWhereSomeEscapedCharacterMayCome) {
  EXPECT_FALSE(alive(start(Coding::json_string, {pattern("^[a-z]+$")}), "\\"));
  EXPECT_EQ(choices(after(start(Coding::json_string, {pattern("^[a-z\\n]+$")}), "\\")), "n");
  EXPECT_EQ(choices(after(start(Coding::json_string, {pattern("^[\"\\\\]$")}), "\\")), "\"\\");
  const uint32_t control = start(Coding::json_string, {pattern("^[\\x01\\x1b]$")});
  EXPECT_EQ(choices(after(control, "\\")), "u");
  EXPECT_EQ(choices(after(control, "\\u00")), "01");
  EXPECT_EQ(choices(after(control, "\\u000")), "1");
  EXPECT_EQ(choices(after(control, "\\u001")), "b");
  EXPECT_FALSE(alive(start(Coding::json_string, {pattern("^\\t$")}), "\\u"));  // \t has its letter
}

TEST_F(LexerTest, AcceptsUtf8ExactlyAsItsDefinitionHasIt) {
  for (const Coding coding : {Coding::text, Coding::json_string}) {
    const uint32_t s = start(coding, {Exprs::kAll});
    for (const std::string_view good :
         {"é", "€", "\xed\x9f\xbf", "\xee\x80\x80", "😀", "\xf4\x8f\xbf\xbf", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"})
      EXPECT_TRUE(alive(s, good)) << good;
    for (const std::string_view bad : {"\x80",
                                       "\xbf",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xc0",
                                       "\xc1",
                                       "\xe0\x80",
                                       "\xe0\x9f",
                                       "\xed\xa0",
                                       "\xed\xbf",
                                       "\xf0\x80",
                                       "\xf0\x8f",
                                       "\xf4\x90",
                                       "\xf5",
                                       "\xf8",
                                       "\xff",
                                       "\xc3"
                                       "a",
                                       "\xe2\x82"
                                       "a",
                                       "\xe2\x82\xc3",
                                       "\xc3\xc3"})
      EXPECT_FALSE(alive(s, bad)) << Json(bad).dump();
  }
}

TEST_F(LexerTest, EveryPrefixOfUtf8AgreesWithTheStrictReader) {
  const uint32_t s = start(Coding::text, {Exprs::kAll});
  std::mt19937 random(5);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    constexpr unsigned char kInteresting[] = {0x00, 'a',  0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
                                              0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    for (size_t n = 1 + random() % 5; n > 0; --n) bytes += static_cast<char>(kInteresting[random() % std::size(kInteresting)]);
    const size_t whole = complete_utf8_prefix(bytes);
    const bool valid = find_invalid_utf8(std::string_view(bytes).substr(0, whole)) == std::string_view::npos;
    const uint32_t state = after(s, bytes);
    ASSERT_EQ(state != Lexer::kDead, valid) << Json(bytes).dump();
    if (valid) {
      ASSERT_EQ(lexer.at_boundary(state), whole == bytes.size());
    }
  }
}

TEST_F(LexerTest, APartialCharacterIsAliveOnlyWhereSomeCompletionIs) {
  const uint32_t s = start(Coding::json_string, {pattern("^[а-я]+$")});  // U+0430 to U+044F: D0 B0…BF, D1 80…8F
  EXPECT_EQ(choices(s), "\xd0\xd1");
  std::string low, high;
  for (int byte = 0xB0; byte <= 0xBF; ++byte) low += static_cast<char>(byte);
  for (int byte = 0x80; byte <= 0x8F; ++byte) high += static_cast<char>(byte);
  EXPECT_EQ(choices(after(s, "\xd0")), low);
  EXPECT_EQ(choices(after(s, "\xd1")), high);
  EXPECT_EQ(choices(after(s, "ж")), "\"\xd0\xd1");
  const uint32_t one = start(Coding::text, {exprs.literal("€😀")});
  EXPECT_EQ(choices(one), "\xe2");
  EXPECT_EQ(choices(after(one, "\xe2")), "\x82");
  EXPECT_EQ(choices(after(one, "\xe2\x82")), "\xac");
  EXPECT_EQ(choices(after(one, "€\xf0\x9f")), "\x98");
  EXPECT_EQ(choices(after(one, "€😀")), "");
}

TEST_F(LexerTest, APartThatCannotBeCompletedIsDroppedAndTheOthersGoOn) {
  const uint32_t s = start(Coding::json_string, {pattern("^ab$"), pattern("^a[cd]"), Exprs::kNothing, Exprs::kEmpty});
  EXPECT_EQ(choices(s), "\"a");
  EXPECT_TRUE(lexer.accepts(s));
  EXPECT_TRUE(lexer.accepts(s, 3));
  EXPECT_FALSE(lexer.accepts(s, 0));
  const uint32_t a = after(s, "a");
  EXPECT_EQ(choices(a), "bcd");
  EXPECT_EQ(lexer.parts(a)[3], Exprs::kNothing);
  const uint32_t b = after(s, "ab");
  EXPECT_EQ(choices(b), "\"");
  EXPECT_TRUE(lexer.accepts(b, 0));
  EXPECT_FALSE(lexer.accepts(b, 1));
  EXPECT_EQ(lexer.parts(b).size(), 4u);
  const uint32_t c = after(s, "ac");
  EXPECT_FALSE(lexer.accepts(c, 0));
  EXPECT_TRUE(lexer.accepts(c, 1));
  EXPECT_EQ(lexer.coding(c), Coding::json_string);
}

TEST_F(LexerTest, StartIsDeadWhenNoPartCanBeCompleted) {
  EXPECT_EQ(start(Coding::text, {}), Lexer::kDead);
  EXPECT_EQ(start(Coding::text, {Exprs::kNothing, Exprs::kNothing}), Lexer::kDead);
  EXPECT_EQ(start(Coding::json_string, {exprs.both(exprs.plus(exprs.literal("ab")), exprs.plus(exprs.literal("ba")))}),
            Lexer::kDead);
  // No text has a surrogate.
  EXPECT_EQ(start(Coding::text, {exprs.chars(CharSet({{0xD800, 0xDFFF}}))}), Lexer::kDead);
  EXPECT_EQ(start(Coding::text, {exprs.concat(exprs.literal("a"), exprs.chars(CharSet::one(0xDC00)))}), Lexer::kDead);
}

TEST_F(LexerTest, EqualPartsAtEqualPlacesAreOneState) {
  const uint32_t s = start(Coding::json_string, {pattern("^(ab|cd)*$")});
  EXPECT_EQ(after(s, "ab"), after(s, "cdab"));
  EXPECT_EQ(after(s, "ab"), start(Coding::json_string, {pattern("^(ab|cd)*$")}));
  EXPECT_NE(s, start(Coding::text, {pattern("^(ab|cd)*$")}));
}

TEST_F(LexerTest, TextHasNoEscapesNoQuotesAndNoEnd) {
  const uint32_t s = start(Coding::text, {pattern("^(\"a\\\\|\\n)$")});
  EXPECT_EQ(choices(s), "\n\"");
  const uint32_t end = after(s, "\"a\\");
  EXPECT_TRUE(lexer.accepts(end));
  EXPECT_EQ(choices(end), "");
  EXPECT_TRUE(lexer.accepts(after(s, "\n")));
  EXPECT_FALSE(lexer.accepts(after(s, "\"a")));
  EXPECT_FALSE(lexer.accepts(after(start(Coding::text, {Exprs::kAll}), "\xc3")));  // inside a character
}

// The least number of characters after which some way through these plain characters is dead, looked for up to `limit`.
int stays_alive(Lexer& lexer, uint32_t state, const std::vector<std::string>& plain, int limit) {
  std::vector<uint32_t> level{state};
  for (int depth = 0; depth < limit; ++depth) {
    std::vector<uint32_t> next;
    for (const uint32_t s : level)
      for (const std::string& c : plain) {
        uint32_t at = s;
        for (const char byte : c) {
          if (at != Lexer::kDead) at = lexer.next(at, static_cast<uint8_t>(byte));
        }
        if (at == Lexer::kDead) return depth;
        next.push_back(at);
      }
    std::sort(next.begin(), next.end());
    next.erase(std::unique(next.begin(), next.end()), next.end());
    level = std::move(next);
  }
  return limit;
}

TEST_F(LexerTest, PlainCharactersStayAliveAsLongAsReachSays) {
  std::vector<std::string> plain;
  for (const char32_t c : {U' ',
                           U'!',
                           U'#',
                           U'0',
                           U'9',
                           U'A',
                           U'Z',
                           U'[',
                           U']',
                           U'_',
                           U'a',
                           U'm',
                           U'z',
                           U'{',
                           U'~',
                           U'\x7f',
                           char32_t{0x80},
                           U'é',
                           U'\u2027',
                           U'\u202a',
                           U'€',
                           char32_t{0xD7FF},
                           char32_t{0xE000},
                           U'\uffff',
                           U'\U00010000',
                           U'\U0010ffff'}) {
    plain.emplace_back();
    append_utf8(plain.back(), c);
    ASSERT_TRUE(Lexer::is_plain(c));
  }
  const char* patterns[] = {"^[^\"]*$",
                            "^.*$",
                            "a",
                            "^.{0,5}$",
                            "^.{3,9}x?$",
                            "^[^a]{2,7}$",
                            "^(?!foo)",
                            "^[a-z]*$",
                            "",
                            "^.{0,3}[a-z]{0,9}$",
                            "é+",
                            "^[^\\n]{1,40}$",
                            "^[ -~]*$",
                            "^[\\s\\S]*$",
                            "^(..)*$",
                            "^.{2}|.{5}$",
                            "^[^\\u2028]{4}$"};
  for (const char* p : patterns) {
    SCOPED_TRACE(p);
    uint32_t s = start(Coding::json_string, {pattern(p)});
    for (const std::string_view then : {"", "a", "a", "é"}) {
      s = after(s, then);
      if (s == Lexer::kDead) break;
      const Lexer::Reach reach = lexer.reach(s);
      const int limit = std::min(reach.characters + 1, 12);
      const int alive = stays_alive(lexer, s, plain, limit);
      EXPECT_GE(alive, std::min(reach.characters, limit));
      if (reach.exact && reach.characters < limit) {
        EXPECT_EQ(alive, reach.characters);
      }
    }
  }
  const uint32_t several = start(Coding::json_string, {exprs.length(0, 3), pattern("^[a-z]*$"), exprs.length(2, 6)});
  EXPECT_GE(stays_alive(lexer, several, plain, 12), lexer.reach(several).characters);
}

TEST_F(LexerTest, ReachIsExactForBoundsOfTheLength) {
  const auto reach = [&](ExprId e) {
    const Lexer::Reach r = lexer.reach(start(Coding::json_string, {e}));
    return std::pair(r.characters, r.exact);
  };
  EXPECT_EQ(reach(exprs.length(0, 7)), std::pair(7, true));
  EXPECT_EQ(reach(exprs.length(5, 7)), std::pair(7, true));
  EXPECT_EQ(reach(Exprs::kEmpty), std::pair(0, true));
  EXPECT_EQ(reach(Exprs::kAll), std::pair(Lexer::kForever, false));
  EXPECT_EQ(reach(exprs.length(5, Exprs::kUnbounded)), std::pair(Lexer::kForever, false));
  EXPECT_EQ(reach(pattern("x")).first, Lexer::kForever);
  EXPECT_EQ(reach(pattern("^[a-z]$")).first, 0);
  EXPECT_EQ(lexer.reach(after(start(Coding::json_string, {Exprs::kAll}), "\xc3")).characters,
            0);  // inside a character: nothing is said
}

}  // namespace
}  // namespace quern
