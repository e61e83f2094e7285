#include "agent/documents/plain_text.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "base/utf8.h"

namespace quern {
namespace {

using namespace std::string_view_literals;

TEST(PlainText, IsValidUtf8WithOneKindOfLineBreak) {
  EXPECT_EQ(plain_text("\xEF\xBB\xBFone\r\ntwo\rthree\n").text, "one\ntwo\nthree\n");
  const PlainText broken = plain_text("a\xFFz\0!"sv);
  EXPECT_EQ(broken.text, "a\uFFFDz\uFFFD!");
  EXPECT_EQ(broken.replaced, 2u);
  EXPECT_EQ(plain_text("written \uFFFD by somebody").replaced, 0u);
  EXPECT_EQ(plain_text("\xFF\xFEM\0\xFC\0h\0l\0e\0\x3D\xD8\x00\xDE\x00\xD8"sv).text, "M\u00FChle\U0001F600\uFFFD");
  EXPECT_EQ(plain_text("\xFE\xFF\0M"sv).text, "M");
}

TEST(PlainText, KnowsTextFromOtherFiles) {
  EXPECT_EQ(text_kind("a.md", "Grain.\n"), TextKind::text);
  EXPECT_EQ(text_kind("a.txt", "M\xFChle, in Latin-1, is still text that can be read."), TextKind::text);
  EXPECT_EQ(text_kind("a.HTML", "<p>Grain"), TextKind::html);
  EXPECT_EQ(text_kind("a.html", "\x89PNG\r\n\x1a\n\0\0"sv), TextKind::binary);
  EXPECT_EQ(text_kind("a.txt",
                      "\x7f"
                      "ELF\2\1\1\0\0\0"sv),
            TextKind::binary);
  EXPECT_EQ(text_kind("report", "%PDF-1.7\n"), TextKind::pdf);
  EXPECT_EQ(text_kind("empty", ""), TextKind::text);
  // A character that the probe's end cuts is no damage.
  EXPECT_EQ(text_kind("a", std::string(8191, 'x') + "\u00FC" + std::string(100, 'x')), TextKind::text);
}

TEST(HtmlText, KeepsWhatAReaderSeesAndWhereItStands) {
  const PlainText page = html_text(
      "<!DOCTYPE html>\n<html><head><title>Mills &amp; querns</title>\n<style>p { color: red }</style>\n"
      "<script>if (a < b) document.write('<p>no</p>');</script></head>\n"
      "<body><!-- <p>not\nthis --><h1>The  \n quern</h1>\n<p title=\"a > b\">It <b>grinds</b>\ngrain,\n&#8220;slowly&#x201d;.</p><ul><li>one<li>two</ul>\n"
      "<pre>  a\n    b</pre><p>3 < 4 &unknown; &copy</p></body></html>");
  EXPECT_EQ(
      page.text,
      "Mills & querns\n\nThe quern\n\nIt grinds grain, \u201Cslowly\u201D.\n\none\ntwo\n\n  a\n    b\n\n3 < 4 &unknown; &copy\n");
  EXPECT_EQ(page.line_at(page.text.find("Mills")), 2);
  EXPECT_EQ(page.line_at(page.text.find("The quern")), 6);
  EXPECT_EQ(page.line_at(page.text.find("grinds")), 8);
  EXPECT_EQ(page.line_at(page.text.find("one")), 10);
  EXPECT_EQ(page.line_at(page.text.find("b\n\n3")), 12);
}

TEST(HtmlText, TakesAnyBytes) {
  Random random(3);
  const std::string_view parts[] = {"<",     ">",    "</",    "<p", "<script>", "</script", "<!--",     "-->",
                                    "\"",    "'",    "&amp;", "&#", ";",        "x",        " ",        "\n",
                                    "<pre>", "\xFF", "ü",     "=",  "<br/>",    "&#0;",     "&#xD800;", "&#99999999999;"};
  for (int round = 0; round < 2000; ++round) {
    std::string html;
    for (size_t n = random.below(30); n > 0; --n) html += parts[random.below(std::size(parts))];
    const PlainText page = html_text(html);
    EXPECT_EQ(find_invalid_utf8(page.text), std::string::npos) << html;
    EXPECT_EQ(page.lines.size(), static_cast<size_t>(std::count(page.text.begin(), page.text.end(), '\n'))) << html;
    EXPECT_TRUE(std::is_sorted(page.lines.begin(), page.lines.end())) << html;
  }
  std::string unclosed;
  for (int i = 0; i < 200'000; ++i) unclosed += "<a \"";
  EXPECT_GT(html_text(unclosed).text.size(), 100'000u) << "and at once";
  EXPECT_EQ(html_text(unclosed + ">").text, "");
}

TEST(PdfPages, CountPages) {
  const PlainText pages = pdf_pages("First page\nsecond line\n\fSecond page\n\f\fFourth");
  EXPECT_EQ(pages.text, "First page\nsecond line\nSecond page\nFourth");
  EXPECT_TRUE(pages.pages);
  EXPECT_EQ(pages.line_at(pages.text.find("second")), 1);
  EXPECT_EQ(pages.line_at(pages.text.find("Second")), 2);
  EXPECT_EQ(pages.line_at(pages.text.find("Fourth")), 4);
}

}  // namespace
}  // namespace quern
