#include "text/display.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

TEST(Display, ShowsWhatATerminalWouldObey) {
  EXPECT_EQ(visible_text("a\x1b[2Jb\a\x7f"), "a␛[2Jb␇␡");
  EXPECT_EQ(visible_text("\xc2\x9b"
                         "1m"),
            "<U+009B>1m");
  EXPECT_EQ(visible_text("if \u202e x"), "if <U+202E> x");
  EXPECT_EQ(visible_text("a\U000E0041b"), "a<U+E0041>b");
  EXPECT_EQ(visible_text(std::string("\0\xff", 2)), "␀\ufffd");
  EXPECT_EQ(visible_text("a\r\nb\tc\rd"), "a\nb\tc␍d");
  EXPECT_EQ(visible_text("a\r\nb\tc", Lines::join), "a b c");
  EXPECT_EQ(visible_text("Übersicht 漢字 👩‍💻"), "Übersicht 漢字 👩‍💻");
}

TEST(Display, LeavesOutColoursAndOverwrittenText) {
  EXPECT_EQ(without_escape_sequences("\x1b[1;31mred\x1b[0m and \x1b]0;title\atext\x1b]8;;x\x1b\\."), "red and text.");
  EXPECT_EQ(without_escape_sequences("10 %\r100 %\r\nnext"), "100 %\nnext");
  for (const char* cut : {"\x1b", "\x1b[", "\x1b[12", "\x1b]0;never ended", "\x1b]0;x\x1b"})
    EXPECT_EQ(without_escape_sequences(std::string("a") + cut).substr(0, 1), "a");
  EXPECT_EQ(without_escape_sequences("\x1b]0;never ended\nnext"), "\nnext");
}

TEST(Display, CountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3U);
  EXPECT_EQ(display_width("漢字"), 4U);
  EXPECT_EQ(display_width("e\u0301"), 1U);
  EXPECT_EQ(cut_to_width("漢字漢字", 5), "漢字…");
  EXPECT_EQ(cut_to_width("漢字漢字", 4), "漢…");
  EXPECT_EQ(cut_to_width("abc", 3), "abc");
  EXPECT_EQ(cut_to_width("abcd", 3), "ab…");
  EXPECT_EQ(cut_to_width("abcd", 0), "");
  EXPECT_EQ(padded_to_width("漢字", 6), "漢字  ");
  EXPECT_EQ(padded_to_width("漢字漢字", 4), "漢… ");
}

}  // namespace
}  // namespace quern
