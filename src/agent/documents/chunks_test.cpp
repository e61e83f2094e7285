#include "agent/documents/chunks.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/utf8.h"

namespace quern {
namespace {

std::string_view piece(std::string_view text, const Chunk& chunk) { return text.substr(chunk.begin, chunk.end - chunk.begin); }

TEST(Chunks, FollowHeadingsAndParagraphs) {
  const std::string text =
      "Before.\n\n# Mills\n\nWind and water.\n\n## Querns\nBy hand.\n\n```\n# no heading\n\nin code\n```\n\n# Bread\nRye.\n";
  const auto chunks = split_into_chunks(text, 80);
  ASSERT_EQ(chunks.size(), 4u);
  EXPECT_EQ(piece(text, chunks[0]), "Before.\n\n");
  EXPECT_EQ(chunks[1].heading, "Mills");
  EXPECT_EQ(chunks[2].heading, "Mills > Querns");
  EXPECT_EQ(piece(text, chunks[2]), "## Querns\nBy hand.\n\n```\n# no heading\n\nin code\n```\n\n");
  EXPECT_EQ(chunks[3].heading, "Bread");
}

TEST(Chunks, KeepParagraphsTogetherWhereTheyFit) {
  const std::string a(60, 'a'), b(60, 'b'), c(30, 'c');
  const std::string text = a + "\n\n" + b + "\n\n" + c + "\n";
  const auto chunks = split_into_chunks(text, 100);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(piece(text, chunks[0]), a + "\n\n");
  const std::string words = "Rye is sown in autumn. It is cut in summer. It is ground all year.";
  const auto sentences = split_into_chunks(words, 50);
  ASSERT_EQ(sentences.size(), 2u);
  EXPECT_EQ(piece(words, sentences[0]), "Rye is sown in autumn. It is cut in summer. ");
}

TEST(Chunks, CoverEveryTextWithoutGaps) {
  Random random(9);
  const std::string_view parts[] = {"word ", "\n", "\n\n", "# Head\n",     "ü",  "😀", "###### deep\n", "```\n",
                                    ". ",    " ",  "x",    "####### no\n", "#\n"};
  for (int round = 0; round < 1000; ++round) {
    std::string text;
    for (size_t n = random.below(120); n > 0; --n) text += parts[random.below(std::size(parts))];
    const size_t most = 8 + random.below(60);
    size_t at = 0;
    for (const Chunk& chunk : split_into_chunks(text, most)) {
      ASSERT_EQ(chunk.begin, at);
      ASSERT_LT(chunk.begin, chunk.end);
      EXPECT_EQ(find_invalid_utf8(piece(text, chunk)), std::string::npos);
      const size_t words = piece(text, chunk).find_last_not_of(" \n") + 1;
      EXPECT_LE(words, most) << "but for the white space behind";
      at = chunk.end;
    }
    ASSERT_EQ(at, text.size());
  }
  EXPECT_EQ(split_into_chunks(std::string(100'000, 'x'), 1000).size(), 100u);
}

}  // namespace
}  // namespace quern
