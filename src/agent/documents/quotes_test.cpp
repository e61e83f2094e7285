#include "agent/documents/quotes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/documents/answer_reader.h"
#include "base/json.h"
#include "base/random.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Document document(std::string name, std::string text) {
  return {.name = name, .place = "docs/" + name, .content = {.text = std::move(text), .lines = {}}, .digest = {}};
}

class Quotes : public testing::Test {
 protected:
  CheckedQuote check(const std::string& document, const std::string& text) const { return check_quote({document, text}, sources_); }

  Document mill_ = document("mill.md", "The mill\nstands   by\nthe brook.\n\nThe mill turns. The mill rests.\n");
  Document bread_ = document("bread.md", "Rye and water.\n");
  std::vector<QuotedSource> sources_ = {{&mill_, {{0, mill_.content.text.size()}}}, {&bread_, {{0, 15}}}};
};

TEST_F(Quotes, AreFoundWithTheirLines) {
  const CheckedQuote one = check("mill.md", "The mill turns.");
  EXPECT_EQ(one.status, QuoteStatus::verbatim);
  EXPECT_EQ(one.place, "docs/mill.md");
  EXPECT_EQ(one.first_line, 5);
  EXPECT_EQ(one.last_line, 5);
  const CheckedQuote lines = check("mill.md", "mill\nstands   by\nthe");
  EXPECT_EQ(lines.status, QuoteStatus::verbatim);
  EXPECT_EQ(lines.first_line, 1);
  EXPECT_EQ(lines.last_line, 3);
}

TEST_F(Quotes, ThatDifferInSpacingAloneSaySo) {
  const CheckedQuote quote = check("mill.md", " mill stands by the brook. ");
  EXPECT_EQ(quote.status, QuoteStatus::spacing);
  EXPECT_EQ(quote.first_line, 1);
  EXPECT_EQ(quote.last_line, 3);
  EXPECT_TRUE(quote.stands());
  EXPECT_EQ(check("mill.md", "millstands by").status, QuoteStatus::missing) << "white space is not made up";
}

TEST_F(Quotes, ThatAreWrongAreNot) {
  for (const char* wrong : {"The mill turned.", "the mill turns.", "", " ", "The mill turns. The mill rests. And", "Rye  and"}) {
    const CheckedQuote quote = check("mill.md", wrong);
    EXPECT_EQ(quote.status, QuoteStatus::missing) << wrong;
    EXPECT_EQ(quote.first_line, 0);
    EXPECT_FALSE(quote.stands());
  }
  const CheckedQuote other = check("mill.md", "Rye and water");
  EXPECT_EQ(other.status, QuoteStatus::other_document);
  EXPECT_EQ(other.place, "docs/bread.md");
  EXPECT_FALSE(other.stands());
  EXPECT_EQ(check("no.md", "nowhere at all").place, "");
}

TEST_F(Quotes, AreLookedForWhereTheModelReadFirst) {
  sources_[0].shown = {{mill_.content.text.rfind("The mill"), mill_.content.text.size()}};
  mill_.content.lines = {10, 20, 30, 40, 50};
  EXPECT_EQ(check("mill.md", "The mill rests").first_line, 50);
  EXPECT_EQ(check("mill.md", "The mill").first_line, 50) << "not line 10, which was not shown";
  EXPECT_EQ(check("mill.md", "brook").first_line, 30) << "but it is there";
}

TEST(DanglingReferences, AreNumbersWithoutAQuote) {
  EXPECT_THAT(dangling_references("So it is [1], and so [2][3]. See [1, 4] and [0].", 2), ElementsAre(3, 4, 0));
  EXPECT_THAT(dangling_references("x[i] and [a] and [] and [1", 0), IsEmpty());
  EXPECT_THAT(dangling_references("[99999999999999999999]", 1), testing::SizeIs(1));
}

struct Read {
  std::string streamed;
  AnswerReader::Answer answer;
};
// Pushed in pieces of any length.
Read read(std::string_view text, Random& random, bool thinking = false) {
  AnswerReader reader(thinking);
  Read out;
  while (!text.empty()) {
    const size_t n = std::min<size_t>(1 + random.below(7), text.size());
    out.streamed += reader.push(text.substr(0, n));
    text.remove_prefix(n);
  }
  out.answer = reader.finish();
  return out;
}

TEST(AnswerReader, GivesOutTheAnswerAndKeepsTheQuotes) {
  Random random(1);
  const std::string said = "It \"is\"\n[1] \\ {so}: \u00FC \U0001F600 \x01";
  Json quote = Json::object(), whole = Json::object();
  quote["document"] = "a \"b\".md";
  quote["text"] = "one, \"answer\": \"two\"\n{";
  whole["quotes"] = Json::Array{quote, quote};
  whole["answer"] = said;
  for (int round = 0; round < 50; ++round) {
    const Read got = read((round % 2 ? "I think {\"answer\": \"no\"}</think>\n\n" : "") + whole.dump(), random, round % 2 == 1);
    EXPECT_EQ(got.streamed, said);
    EXPECT_EQ(got.answer.text, said);
    EXPECT_TRUE(got.answer.complete);
    ASSERT_EQ(got.answer.quotes.size(), 2u);
    EXPECT_EQ(got.answer.quotes[1].document, "a \"b\".md");
    EXPECT_EQ(got.answer.quotes[1].text, "one, \"answer\": \"two\"\n{");
  }
  EXPECT_EQ(read(R"({"quotes": [], "answer": "\ud83d\ude00\u00fc\/"})", random).streamed, "\U0001F600\u00FC/");
}

TEST(AnswerReader, ReadsOnWhateverComes) {
  Random random(2);
  EXPECT_EQ(read(R"({"quotes": [{"document": "a", "text": "b"}], "answer": "half)", random).answer.text, "half");
  EXPECT_FALSE(read(R"({"quotes": [], "answer": "half)", random).answer.complete);
  EXPECT_FALSE(read("no JSON at all", random).answer.complete);
  const std::string_view parts[] = {"{", "}", "[",      "]",      "\"",       "\\",           "u",        "12",
                                    ":", ",", "quotes", "answer", "\"text\"", "\"document\"", "</think>", "\xFF"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t n = random.below(40); n > 0; --n) text += parts[random.below(std::size(parts))];
    const Read got = read(text, random, round % 2 == 0);
    EXPECT_EQ(got.streamed, got.answer.text);
  }
}

}  // namespace
}  // namespace quern
