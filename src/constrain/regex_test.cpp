#include "constrain/regex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "constrain/unicode_class.h"

namespace quern {
namespace {

struct Case {
  std::string pattern;
  std::vector<std::string> matching, not_matching;
};

void expect_cases(RegexSemantics semantics, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    Exprs e;
    const auto language = parse_regex(e, c.pattern, semantics);
    ASSERT_TRUE(language) << language.error().message;
    for (const std::string& text : c.matching) EXPECT_TRUE(e.matches(*language, text)) << c.pattern << " on '" << text << "'";
    for (const std::string& text : c.not_matching) EXPECT_FALSE(e.matches(*language, text)) << c.pattern << " on '" << text << "'";
    EXPECT_FALSE(e.exhausted());
  }
}

TEST(Regex, SearchFindsThePatternAnywhereUnlessAnchored) {
  expect_cases(RegexSemantics::search, {
                                           {"a+", {"a", "xay", "\na\n"}, {"", "xyz"}},
                                           {"^a*$", {"", "aaa"}, {"b", "aab", "a\n"}},
                                           {"^ab", {"ab", "abc"}, {"xab", ""}},
                                           {"ab$", {"ab", "xab"}, {"abx"}},
                                           {"^a|b$", {"ax", "xb", "a"}, {"xa", "bx"}},
                                           {"(^|,)x(,|$)", {"x", "x,y", "y,x", "y,x,z"}, {"yx", "xy", ""}},
                                           {"", {"", "anything"}, {}},
                                           {"a^b|a$b", {}, {"ab", "a\nb"}},
                                       });
}

TEST(Regex, WholeTakesTheEntireText) {
  expect_cases(RegexSemantics::whole, {
                                          {"a|bc", {"a", "bc"}, {"", "ab", "xa", "bcx"}},
                                          {"^a$", {"a"}, {"xa", "ax"}},
                                          {"(?=a).b?", {"a", "ab"}, {"b", "bb"}},
                                      });
}

TEST(Regex, QuantifiersCountAndLazinessChangesNoLanguage) {
  expect_cases(RegexSemantics::whole, {
                                          {"a{2}", {"aa"}, {"a", "aaa"}},
                                          {"a{2,}", {"aa", "aaaaa"}, {"a"}},
                                          {"a{1,3}?", {"a", "aaa"}, {"", "aaaa"}},
                                          {"(?:ab)*?c", {"c", "ababc"}, {"abab"}},
                                          {"a{0}", {""}, {"a"}},
                                          {"[0-9]{65535}", {std::string(65'535, '7')}, {std::string(65'534, '7')}},
                                      });
}

TEST(Regex, BracesThatCountNothingAreThemselves) {
  expect_cases(RegexSemantics::whole, {
                                          {"{a}", {"{a}"}, {"a"}},
                                          {"a{x", {"a{x"}, {}},
                                          {"a{1,x}", {"a{1,x}"}, {}},
                                          {R"(\{"a":\d+})", {R"({"a":12})"}, {}},
                                          {"]", {"]"}, {}},
                                          {"a{", {"a{"}, {}},
                                      });
}

TEST(Regex, ClassesHoldRangesEscapesAndLooseHyphens) {
  expect_cases(RegexSemantics::whole, {
                                          {"[a-c_]+", {"abc_"}, {"d", "-"}},
                                          {"[^a-c]", {"d", "\n", "é"}, {"b", "dd"}},
                                          {R"([\w-]+)", {"a-b_9"}, {"a b"}},
                                          {R"([\w-.]+)", {"a-b.c"}, {",", "+"}},
                                          {R"([a-\d]+)", {"a-7"}, {"b"}},
                                          {"[-a]+", {"-a"}, {}},
                                          {"[a-]+", {"-a"}, {}},
                                          {"[+--]", {"+", ",", "-"}, {"."}},
                                          {R"([\b])", {"\b"}, {"b"}},
                                          {R"([\]\\])", {"]", "\\"}, {}},
                                          {"[]", {}, {"", "a"}},
                                          {"[^]", {"a", "\n", "🐲"}, {"", "ab"}},
                                          {R"([\s\S]*)", {"", "a\nb"}, {}},
                                          {R"([^\W\d])", {"a", "_"}, {"7", "-"}},
                                          {"[🐲-🐴]", {"🐳"}, {"🐵"}},
                                      });
}

TEST(Regex, EscapesAreEcmaNotPython) {
  expect_cases(RegexSemantics::whole,
               {
                   {R"(\d)", {"0"}, {"߀", "a"}},
                   {R"(\D)", {"߀", "a"}, {"0"}},
                   {R"(\w)", {"a", "_", "9"}, {"é"}},
                   {R"(\W)", {"é", "-"}, {"a"}},
                   {R"(\s)", {" ", "\t", "\v", "\f", "\u00A0", "\uFEFF", "\n", "\u2029", "\u2003"}, {"\x01", "–", "\u0085"}},
                   {R"(\S)", {"\x01", "–"}, {" ", "\uFEFF"}},
                   {R"(\t\n\r\f\v)", {"\t\n\r\f\v"}, {}},
                   {R"(\cC\cc)", {"\x03\x03"}, {R"(\cC\cc)"}},
                   {R"(\x41\u0042\u{1F432})", {"AB🐲"}, {}},
                   {R"(\uD83D\uDC32)", {"🐲"}, {}},
                   {R"([\uD83D\uDC32-\u{1F434}])", {"🐳"}, {}},
                   {R"(\0)", {std::string(1, '\0')}, {"0"}},
                   {R"(\-\_\/\.\@\ \é)", {"-_/.@ é"}, {}},
                   {".", {"a", "🐲", "\u0085"}, {"\n", "\r", "\u2028", "\u2029"}},
               });
}

TEST(Regex, PropertiesAreGeneralCategories) {
  expect_cases(RegexSemantics::whole, {
                                          {R"(\p{L}+)", {"aéЖ漢"}, {"1"}},
                                          {R"(\p{Letter}\p{gc=Lu}\p{General_Category=Lowercase_Letter})", {"xÉé"}, {"xéÉ"}},
                                          {R"(\p{digit}+)", {"42", "৪২"}, {"x"}},
                                          {R"(\P{N})", {"x"}, {"4", "৪"}},
                                          {R"([\p{P}\p{Sc}]+)", {"-!€"}, {"a"}},
                                          {R"(\p{ASCII}\p{Any})", {"aé"}, {"éa"}},
                                          {R"(\p{White_Space})", {" ", "\u0085"}, {"\uFEFF"}},
                                      });
}

TEST(Regex, GroupsMayHaveNames) { expect_cases(RegexSemantics::whole, {{"(a)(?:b)(?<n>c)(?P<m_1>d)", {"abcd"}, {"abc"}}}); }

TEST(Regex, InlineFlagsFoldCase) {
  expect_cases(RegexSemantics::whole, {
                                          {"(?i)ab[x-z]", {"AbY", "abx"}, {"abw"}},
                                          {"(?i:a)b", {"Ab", "ab"}, {"AB"}},
                                          {"(?i)[^a]", {"b"}, {"A", "a"}},
                                          {"(?i)straße|Ω", {"STRAßE", "ω"}, {}},
                                          {"(?is)a.", {"A\n"}, {}},
                                      });
}

TEST(Regex, LookaheadConstrainsAllThatFollows) {
  expect_cases(RegexSemantics::search,
               {
                   {"foo(?!bar)", {"foo", "foobaz", "foobarfoo"}, {"foobar", "fo"}},
                   {"foo(?=bar)", {"xfoobar"}, {"foo", "foobaz"}},
                   {R"(^(?=.*\d)(?=.*[a-z])(?=.*[A-Z]).{4,8}$)", {"aB3x", "xxxxB3"}, {"aB3", "abcd1", "aB3xxxxxx"}},
                   {"^(?!.*--)(?!-)[a-z-]+(?<x>[a-z])$", {"ab", "a-b"}, {"a--b", "-a", "a-", ""}},
                   {"^(?!admin$)[a-z]+$", {"admins", "user"}, {"admin"}},
                   {"^(?!(?!a))", {"abc"}, {"bc", ""}},
                   {"^(?:a(?=b)|b(?!a)){2}$", {"ab", "bb"}, {"aa", "ba"}},
                   {"(?=a)*b", {"b"}, {"a"}},
                   {"^(?:a(?!b)(?!c)[a-d])*$", {"", "adaa"}, {"ab", "ac"}},
               });
}

TEST(Regex, ConditionsOnEachCharacterOfARepetition) {
  expect_cases(RegexSemantics::search, {
                                           {"^(?:(?!end).)*$", {"", "the en", "x"}, {"the end", "end", "bend it"}},
                                           {R"(^"(?:(?!\\)[^"]|\\["\\])*"$)", {R"("a\"b")", R"("")"}, {R"("a\")"}},
                                           {"^(?:(?!--)[a-z-])+$", {"a-b", "a-"}, {"a--b", ""}},
                                           {"^(?:(?!aa)[a-z])+;$", {"aba;"}, {"aab;", ";"}},
                                           {"((?!x).)*", {"", "xxx"}, {}},
                                           {R"(^(?:\b[a-z]|\B[0-9]|[ ])+$)", {"a0 b12", "a b"}, {"ab", "0"}},
                                       });
}

TEST(Regex, AnchorsInsideRepetitions) {
  expect_cases(RegexSemantics::search, {
                                           {"^(?:[a-z]+(?:,|$))+$", {"a", "a,b", "ab,c,"}, {"", ",", "a,,b"}},
                                           {"^(?:(?:^|,)[0-9]+)+$", {"1", "1,2,33"}, {"1,", "1,,2", ""}},
                                           {"(?:^a)*b$", {"b", "ab", "aab"}, {"ba"}},
                                       });
}

TEST(Regex, WordBoundariesLookToBothSides) {
  expect_cases(RegexSemantics::search, {
                                           {R"(\bfoo\b)", {"foo", "a foo.", "-foo-"}, {"foox", "xfoo", "foo_"}},
                                           {R"(\Boo\B)", {"foot"}, {"foo", "oops"}},
                                           {R"(^\w+\b.)", {"ab cd", "a-"}, {"ab", ""}},
                                           {R"([a-z-]*\b)", {"a", "xa-"}, {"", "-", "--"}},
                                           {R"(^\B$)", {""}, {"a"}},
                                       });
}

TEST(Regex, RefusesWhatItCannotTranslateWithAReason) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"((a)\1)", "backreference"},
      {R"((?<n>a)\k<n>)", "backreference"},
      {"(?P<n>a)(?P=n)", "backreference"},
      {"(?<=a)b", "lookbehind"},
      {"(?<!a)b", "lookbehind"},
      {"^(?:a(?!bc)[a-z])*$", "more than one character"},
      {"^(?:(?!foo).)*bar", "not certain"},
      {"(?:^a){100}", "64 repetitions"},
      {R"(\p{Script=Greek})", "Script=Greek"},
      {R"(\p{Alphabetic})", "Alphabetic"},
      {R"(\uD83D)", "surrogate"},
      {R"([\uD800-\uDBFF])", "surrogates"},
      {"a{,5}", "Python"},
      {"[[:alpha:]]", "POSIX"},
      {"(?m)^a", "flag 'm'"},
      {"(?>a)", "(?"},
      {"(?#note)", "(?"},
      {R"(\07)", "octal"},
  };
  for (const auto& [pattern, reason] : cases) {
    Exprs e;
    const auto language = parse_regex(e, pattern, RegexSemantics::search);
    ASSERT_FALSE(language) << pattern;
    EXPECT_EQ(language.error().code, Errc::unsupported) << language.error().message;
    EXPECT_NE(language.error().message.find("pattern '" + pattern + "': "), std::string::npos) << language.error().message;
    EXPECT_NE(language.error().message.find(reason), std::string::npos) << language.error().message;
  }
}

TEST(Regex, SaysWhereAPatternIsBroken) {
  for (const std::string pattern :
       {"(",           ")",   "(a",     "a)",    "[a",     "[z-a]",   "*a",   "+",    "a**",   "a*+",    "^*",    "\\b+",
        "a|*",         "{3}", "a{3,1}", "\\",    "[\\",    "\\a",     "\\A",  "\\Z",  "\\c1",  "\\x4",   "\\u12", "\\u{}",
        "\\u{110000}", "\\p", "\\pL",   "\\p{L", "(?<>a)", "(?<1>a)", "(?<n", "\xFF", "[a-\\", "a{1}{2}"}) {
    Exprs e;
    const auto language = parse_regex(e, pattern, RegexSemantics::search);
    ASSERT_FALSE(language) << pattern;
    EXPECT_EQ(language.error().code, Errc::malformed) << language.error().message;
  }
}

TEST(Regex, LimitsAreNamed) {
  const auto repeated = [](std::string_view part, size_t times) {
    std::string out;
    for (size_t i = 0; i < times; ++i) out += part;
    return out;
  };
  for (const std::string& pattern :
       {std::string(70'000, 'a'), repeated("(", 201) + repeated(")", 201), std::string("a{65536}"), repeated("a?b?", 2'000),
        repeated("()", 2'001), repeated("(?=a)", 2'000) + repeated("^", 2'001)}) {
    Exprs e;
    const auto language = parse_regex(e, pattern, RegexSemantics::search);
    ASSERT_FALSE(language) << pattern.substr(0, 20);
    EXPECT_EQ(language.error().code, Errc::out_of_range) << language.error().message;
    EXPECT_LT(language.error().message.size(), 300u);
  }
  Exprs small({.nodes = 50, .transition_ranges = 1'000, .search_states = 100});
  EXPECT_EQ(parse_regex(small, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", RegexSemantics::search).error().code,
            Errc::out_of_range);
}

TEST(Regex, HostilePatternsFinishQuickly) {
  const auto repeated = [](std::string_view part, size_t times) {
    std::string out;
    for (size_t i = 0; i < times; ++i) out += part;
    return out;
  };
  const std::vector<std::string> patterns = {
      "(a*)*b",
      "^(a+)+$",
      "(a|a)*b",
      "(((((a{1,100}){1,100}){1,100}){1,100}){1,100})$",
      "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)x",
      ".*a.{20}",
      "(?=.*a)(?=.*b)(?=.*c)(?=.*d)(?=.*e)(?=.*f)(?=.*g)(?=.*h)",
      repeated("(", 200) + "a" + repeated(")*", 200),
      repeated("(?=", 200) + "a" + repeated(")", 200),
      repeated("(?:^|", 200) + "a" + repeated("){1,64}", 200),
      repeated("(?:a|^", 60) + repeated(")*", 60),
      repeated("(a|", 150) + "a$" + repeated(")", 150) + "*",
      repeated("a?", 1'000) + repeated("a", 1'000),
      repeated("a?b?", 900),
      repeated("(?:^|a?)", 900),
      repeated("ab|", 20'000),
      repeated("[", 60'000),
      repeated("{", 60'000),
      repeated("\\", 60'000),
      repeated("(?i)", 10'000),
      "(?:(?!" + repeated("a?", 900) + "b).)*$",
  };
  for (const std::string& pattern : patterns) {
    const auto start = std::chrono::steady_clock::now();
    Exprs e({.nodes = 100'000});
    const auto language = parse_regex(e, pattern, RegexSemantics::search);
    if (language) e.matches(*language, std::string(40, 'a') + "b");
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_LT(seconds, 10) << pattern.substr(0, 60);  // most take a millisecond; a sanitizer and a busy machine cost a factor
  }
}

TEST(UnicodeClass, EveryCategoryHasItsNamesAndTogetherTheyAreAll) {
  CharSet all;
  for (const char* name : {"L", "M", "N", "P", "S", "Z", "C"}) all = all | *unicode_class(name);
  EXPECT_EQ(all, CharSet::all());
  EXPECT_EQ(*unicode_class("Punctuation"), *unicode_class("punct"));
  EXPECT_TRUE(unicode_class("Lo")->contains(U'漢'));
  EXPECT_FALSE(unicode_class("Greek"));
  EXPECT_FALSE(unicode_class("gc=Any"));
  EXPECT_FALSE(unicode_class(""));
}

TEST(UnicodeClass, CasesAreThoseOfSimpleFolding) {
  const auto cases = [](char32_t c) { return with_other_cases(CharSet::one(c)); };
  EXPECT_EQ(cases(U'k'), CharSet({{'K', 'K'}, {'k', 'k'}, {0x212A, 0x212A}}));
  EXPECT_EQ(cases(U'i'), CharSet({{'I', 'I'}, {'i', 'i'}}));  // not the Turkish ones
  EXPECT_EQ(cases(U'ß'), CharSet({{0xDF, 0xDF}, {0x1E9E, 0x1E9E}}));
  EXPECT_EQ(cases(U'σ'), CharSet({{0x3A3, 0x3A3}, {0x3C2, 0x3C3}}));
  EXPECT_EQ(cases(U'7'), CharSet::one('7'));
}

}  // namespace
}  // namespace quern
