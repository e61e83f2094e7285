#include "constrain/vocabulary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/utf8.h"
#include "constrain/lexer.h"

namespace quern {
namespace {

using Entry = std::pair<std::string, int32_t>;

// All tokens of a trie, read back by walking its nodes.
std::vector<Entry> tokens_of(const TokenTrie& trie) {
  std::vector<Entry> out;
  std::string bytes;
  for (const TokenTrie::Node& node : trie.nodes()) {
    EXPECT_LE(node.depth, bytes.size() + 1);
    bytes.resize(node.depth - 1u);
    bytes += static_cast<char>(node.byte);
    if (node.token >= 0) out.emplace_back(bytes, node.token);
  }
  std::sort(out.begin(), out.end());
  return out;
}

// Every node's skip leads to the next node that is not below it.
void expect_skips_leave_the_subtree(const TokenTrie& trie) {
  const auto nodes = trie.nodes();
  for (size_t i = 0; i < nodes.size(); ++i) {
    size_t next = i + 1;
    while (next < nodes.size() && nodes[next].depth > nodes[i].depth) ++next;
    ASSERT_EQ(nodes[i].skip, next) << i;
  }
}

template <class Keep>
std::vector<Entry> those(const Vocabulary& v, const Keep& keep) {
  std::vector<Entry> out;
  for (size_t i = 0; i < v.size(); ++i)
    if (const auto bytes = v.bytes(static_cast<int32_t>(i)); !bytes.empty() && bytes.size() <= 255 && keep(bytes))
      out.emplace_back(bytes, static_cast<int32_t>(i));
  std::sort(out.begin(), out.end());
  return out;
}

bool has_quote(std::string_view bytes) { return bytes.find('"') != std::string_view::npos; }

// Random tokens: every single byte, pieces of a few characters and broken ones, some twice.
std::vector<std::string> random_tokens(uint32_t seed, size_t count) {
  std::mt19937 random(seed);
  std::vector<std::string> out;
  for (int byte = 0; byte < 256; ++byte) out.emplace_back(1, static_cast<char>(byte));
  out.emplace_back();  // a hole
  const char* alphabet[] = {"a",  "b",        "\"",       " ",    "\\",   "\n",  "é", "€", "\xe2\x80\xa8",
                            "😀", "\xe2\x80", "\xf0\x9f", "\xc3", "\x80", "\xe2"};
  while (out.size() < count) {
    std::string token;
    for (size_t n = 1 + random() % 5; n > 0; --n) token += alphabet[random() % std::size(alphabet)];
    out.push_back(token);
  }
  return out;
}

TEST(Vocabulary, TriesHoldExactlyTheTokens) {
  for (const uint32_t seed : {1u, 2u, 3u}) {
    const Vocabulary v(random_tokens(seed, 1500), {});
    EXPECT_EQ(tokens_of(v.all()), those(v, [](std::string_view) { return true; }));
    EXPECT_EQ(tokens_of(v.with_quote()), those(v, has_quote));
    EXPECT_EQ(tokens_of(v.without_quote()), those(v, [](std::string_view b) { return !has_quote(b); }));
    const TokenMask& plain = v.plain(v.longest_plain());
    std::vector<Entry> odd = tokens_of(v.odd());
    for (size_t i = 0; i < v.size(); ++i) {
      const auto id = static_cast<int32_t>(i);
      const bool is_odd = std::any_of(odd.begin(), odd.end(), [&](const Entry& e) { return e.second == id; });
      const bool is_some = !v.bytes(id).empty() && !has_quote(v.bytes(id));
      ASSERT_EQ(is_odd, is_some && !plain.test(id)) << i;
      if (plain.test(id)) {
        ASSERT_TRUE(is_some) << i;
      }
    }
  }
}

TEST(Vocabulary, ANodesSkipLeavesItsSubtree) {
  const Vocabulary v(random_tokens(4, 1500), {});
  for (const TokenTrie* trie : {&v.all(), &v.with_quote(), &v.without_quote(), &v.odd()}) expect_skips_leave_the_subtree(*trie);
}

TEST(Vocabulary, TokensOfTheSameBytesAreAllThere) {
  const Vocabulary v({"ab", "a", "ab", "abc", "a", "ab", "b"}, {});
  const std::vector<Entry> want{{"a", 1}, {"a", 4}, {"ab", 0}, {"ab", 2}, {"ab", 5}, {"abc", 3}, {"b", 6}};
  EXPECT_EQ(tokens_of(v.all()), want);
  expect_skips_leave_the_subtree(v.all());
}

TEST(Vocabulary, LongestTokensAreThoseOfOneByteOfLength) {
  const Vocabulary v({std::string(255, 'x'), std::string(256, 'x'), "x"}, {});
  const std::vector<Entry> want{{"x", 2}, {std::string(255, 'x'), 0}};
  EXPECT_EQ(tokens_of(v.all()), want);
  EXPECT_FALSE(v.plain(v.longest_plain()).test(1));
}

TEST(Vocabulary, EndIdsAreNoText) {
  const Vocabulary v({"a", "<end>", "b"}, {1, 7, -1});
  const std::vector<Entry> want{{"a", 0}, {"b", 2}};
  EXPECT_EQ(tokens_of(v.all()), want);
  EXPECT_TRUE(v.bytes(1).empty());
  EXPECT_TRUE(v.is_end(1));
  EXPECT_TRUE(v.is_end(7));
  EXPECT_FALSE(v.is_end(0));
}

TEST(Vocabulary, AnEmptyOneHasNothing) {
  const Vocabulary v(std::vector<std::string>{}, {});
  EXPECT_TRUE(v.all().nodes().empty());
  EXPECT_EQ(v.longest_plain(), 0);
  EXPECT_TRUE(v.plain(5).empty());
}

// The least number of plain characters that a token is, asked in the naive way: by trying to complete it; -1: it is none.
int plain_characters(std::string_view bytes) {
  std::string text(bytes);
  const auto read = [](std::string_view t) {
    int n = 0;
    for (size_t i = 0; i < t.size(); ++n) {
      const auto first = static_cast<unsigned char>(t[i]);
      const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
      char32_t c = length == 1 ? first : first & (0x7Fu >> length);
      for (size_t k = 1; k < length; ++k) c = c << 6 | (static_cast<unsigned char>(t[i + k]) & 0x3Fu);
      if (!Lexer::is_plain(c)) return -1;
      i += length;
    }
    return n;
  };
  if (find_invalid_utf8(text) == std::string_view::npos) return read(text);
  int characters = -1;  // every completion must be plain
  for (int x = -1; x < 64; ++x)
    for (int y = -1; y < 64; ++y)
      for (int z = -1; z < 64; ++z) {
        if ((x < 0 && (y >= 0 || z >= 0)) || (y < 0 && z >= 0)) continue;
        std::string t = text;
        for (const int b : {x, y, z})
          if (b >= 0) t += static_cast<char>(0x80 + b);
        if (t.size() == text.size() || find_invalid_utf8(t) != std::string_view::npos) continue;
        if (complete_utf8_prefix(std::string_view(t).substr(0, t.size() - 1)) > text.size())
          continue;  // more than the one character
        const int n = read(t);
        if (n < 0) return -1;
        characters = n;
      }
  return characters;
}

TEST(Vocabulary, PlainTokensAreClassedByTheirCharacters) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* t : {"abc",
                        "a b",
                        "é",
                        "éa",
                        "€",
                        "😀",
                        "😀😀",
                        "a\\",
                        "a\"",
                        "a\n",
                        "\xe2\x80",
                        "a\xe2",
                        "a\xe2\x82",
                        "\xe2\x80\xa8",
                        "x\xe2\x80\xa9",
                        "\xe2\x80\xaa",
                        "\xf0\x9f",
                        "ab\xf0\x9f\x98",
                        "\xc3",
                        "ab\xc3",
                        "\xc3\xa9\xc3",
                        "\xe0\x80",
                        "\xed\xa0",
                        "\xf4\x90",
                        "\xf4\x8f",
                        "\x80"
                        "a",
                        "a\x7f",
                        "\xc2",
                        "\xc2\x80"})
    tokens.emplace_back(t);
  const Vocabulary v(tokens, {});
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const int want = plain_characters(tokens[i]);
    for (int n = -1; n <= v.longest_plain() + 2; ++n)
      EXPECT_EQ(v.plain(n).test(id), want >= 0 && want <= std::max(n, 0)) << i << ' ' << n << " characters of " << want;
  }
}

TEST(TokenMask, IsASetOfIds) {
  TokenMask mask(130), other(130);
  EXPECT_TRUE(mask.empty());
  EXPECT_GE(mask.size(), 130u);
  for (const int32_t id : {0, 63, 64, 129}) mask.set(id);
  other.set(1);
  EXPECT_EQ(mask.count(), 4);
  EXPECT_TRUE(mask.test(63) && mask.test(64) && mask.test(129));
  EXPECT_FALSE(mask.test(1) || mask.test(128) || mask.test(100'000));
  mask |= other;
  EXPECT_EQ(mask.count(), 5);
  EXPECT_TRUE(mask.test(1));
  mask.clear();
  EXPECT_TRUE(mask.empty());
  EXPECT_EQ(mask, TokenMask(130));
}

}  // namespace
}  // namespace quern
