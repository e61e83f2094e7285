#include "base/utf8.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

constexpr auto kValid = std::string_view::npos;

TEST(Utf8, FindsTheFirstByteThatDoesNotBelong) {
  EXPECT_EQ(find_invalid_utf8(""), kValid);
  EXPECT_EQ(find_invalid_utf8(std::string_view("a\0é€😀", 11)), kValid);
  EXPECT_EQ(find_invalid_utf8("ab\x80"), 2u);
  EXPECT_EQ(find_invalid_utf8("\xC0\x80"), 0u);              // overlong
  EXPECT_EQ(find_invalid_utf8("x\xE0\x9F\xBF"), 1u);         // overlong
  EXPECT_EQ(find_invalid_utf8("\xED\xA0\x80"), 0u);          // a surrogate
  EXPECT_EQ(find_invalid_utf8("\xF4\x90\x80\x80"), 0u);      // past U+10FFFF
  EXPECT_EQ(find_invalid_utf8("\xF8\x88\x80\x80\x80"), 0u);  // five bytes
  EXPECT_EQ(find_invalid_utf8("é\xE2\x82"), 2u);             // cut short
}

TEST(Utf8, AgreesWithItsWriterOnEveryCodePoint) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    std::string text;
    append_utf8(text, c);
    ASSERT_EQ(find_invalid_utf8(text), c >= 0xD800 && c <= 0xDFFF ? 0 : kValid) << static_cast<uint32_t>(c);
  }
}

TEST(Utf8, HoldsBackOnlyWhatMoreBytesCouldComplete) {
  EXPECT_EQ(complete_utf8_prefix(""), 0u);
  EXPECT_EQ(complete_utf8_prefix("abc"), 3u);
  EXPECT_EQ(complete_utf8_prefix("a\xF0\x9F\x98"), 1u);
  EXPECT_EQ(complete_utf8_prefix("a\xF0\x9F"), 1u);
  EXPECT_EQ(complete_utf8_prefix("a\xF0"), 1u);
  EXPECT_EQ(complete_utf8_prefix("a\xF0\x9F\x98\x80"), 5u);
  EXPECT_EQ(complete_utf8_prefix("a\x80"), 2u);     // no sequence starts like this
  EXPECT_EQ(complete_utf8_prefix("\xED\xA0"), 2u);  // nor goes on like this
  EXPECT_EQ(complete_utf8_prefix("\xE2\x82"), 0u);
}

TEST(Utf8, ReplacesEachMaximalInvalidPartOnce) {
  EXPECT_EQ(replace_invalid_utf8("a\xF0\x9F\x98z"), "a\uFFFDz");
  EXPECT_EQ(replace_invalid_utf8("\x80\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(replace_invalid_utf8("\xE2\x82"), "\uFFFD");
  EXPECT_EQ(replace_invalid_utf8("é€"), "é€");
}

TEST(Utf8, ReadsTheCharactersThatItWrites) {
  const std::u32string characters = U"\0a\x7F\x80é\x7FF\x800€\xD7FF\xE000\xFFFF\x10000😀\x10FFFF";
  std::string text;
  for (const char32_t c : characters) append_utf8(text, c);
  EXPECT_EQ(code_points(text), characters);
  for (size_t n = 0; n < text.size(); ++n)
    EXPECT_LE(code_points(text.substr(0, n)).size(), n);  // cut anywhere: nothing else is read
}

// Bytes that arrive one at a time: what was held back and what was let through make up the text, in order.
TEST(Utf8, StreamsAnyBytesAsWholeCharacters) {
  const std::string bytes = "x\xC3\xA9\xF0\x9F\x98\x80\xFF\xE2\x82\xE2\x82\xAC\xF0\x9Fq\xF0";
  std::string held, out;
  for (const char byte : bytes) {
    held += byte;
    const size_t whole = complete_utf8_prefix(held);
    out += replace_invalid_utf8(held.substr(0, whole));
    held.erase(0, whole);
    ASSERT_EQ(find_invalid_utf8(out), kValid);
  }
  EXPECT_EQ(out + replace_invalid_utf8(held), replace_invalid_utf8(bytes));
}

}  // namespace
}  // namespace quern
