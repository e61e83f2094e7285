// Quotes under the constraint are pieces of their document, and every piece can be quoted. Texts are small and repetitive, of few
// letters, so that the automaton's states are shared and split; the definition is std::string::find.
#include "constrain/quoted_answer.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"
#include "base/utf8.h"
#include "constrain/matcher.h"
#include "constrain/suffix_automaton.h"

namespace quern {
namespace {

bool contains(std::span<const std::string_view> texts, std::string_view piece) {
  return std::any_of(texts.begin(), texts.end(), [&](std::string_view t) { return t.find(piece) != std::string_view::npos; });
}

std::string random_text(Random& random, const std::vector<std::string>& alphabet, size_t most) {
  std::string text;
  for (size_t n = random.below(most + 1); n > 0; --n) text += random.pick(alphabet);
  return text;
}

bool occurs(const SuffixAutomaton& automaton, SuffixAutomaton::State root, std::string_view piece) {
  auto at = std::optional(root);
  for (size_t i = 0; i < piece.size() && at; ++i) at = automaton.next(*at, static_cast<uint8_t>(piece[i]));
  return at.has_value();
}

TEST(SuffixAutomaton, AcceptsTheSubstringsOfEachSetAndNothingElse) {
  Random random(7);
  const std::vector<std::string> letters = {"a", "b", "c"};
  for (int round = 0; round < 400; ++round) {
    SuffixAutomaton automaton;
    std::vector<std::pair<SuffixAutomaton::State, std::vector<std::string>>> sets;
    for (size_t s = 1 + random.below(3); s > 0; --s) {
      std::vector<std::string> texts;
      for (size_t t = random.below(4); t > 0; --t) texts.push_back(random_text(random, letters, 20));
      const std::vector<std::string_view> views(texts.begin(), texts.end());
      sets.emplace_back(automaton.add_set(views).value(), std::move(texts));
    }
    size_t total = sets.size();
    for (const auto& [root, texts] : sets) {
      const std::vector<std::string_view> views(texts.begin(), texts.end());
      for (const std::string_view text : views) {
        total += 2 * text.size();
        for (size_t i = 0; i < text.size(); ++i) ASSERT_TRUE(occurs(automaton, root, text.substr(i))) << text << " at " << i;
      }
      for (int probe = 0; probe < 60; ++probe) {
        const std::string piece = random_text(random, letters, 6);
        ASSERT_EQ(occurs(automaton, root, piece), piece.empty() || contains(views, piece)) << piece;
      }
    }
    EXPECT_LE(automaton.states(), total + sets.size()) << "linear in the texts";
  }
}

TEST(SuffixAutomaton, IsLinearForTextsThatRepeatThemselves) {
  std::string same(200'000, 'a'), fibonacci = "a", before = "b";
  while (fibonacci.size() < 200'000) before = std::exchange(fibonacci, fibonacci + before);
  SuffixAutomaton automaton;
  const std::vector<std::string_view> texts = {same, fibonacci, same};
  const auto root = automaton.add_set(texts);
  ASSERT_TRUE(root);
  EXPECT_LT(automaton.states(), 2 * (same.size() + fibonacci.size()));
  EXPECT_TRUE(occurs(automaton, *root, same));
  EXPECT_FALSE(occurs(automaton, *root, same + "a"));
}

using Document = QuotedAnswerOptions::Document;

std::unique_ptr<Machine> compiled(const QuotedAnswerOptions& options) {
  auto machine = compile_quoted_answer(options);
  EXPECT_TRUE(machine) << machine.error().message;
  return std::move(*machine);
}

bool accepts(Machine& machine, std::string_view text) {
  auto state = std::optional(machine.start());
  for (size_t i = 0; i < text.size() && state; ++i) state = machine.step(*state, static_cast<uint8_t>(text[i]), text.substr(0, i));
  return state && machine.can_end(*state, text);
}

std::string quoting(std::string_view document, std::string_view piece) {
  std::string text = R"({"quotes": [{"document": )";
  append_json_string(text, document);
  text += R"(, "text": )";
  append_json_string(text, piece);
  return text + R"(}], "answer": "So it is [1]."})";
}

// What a quote may be, by its definition.
bool may_quote(std::span<const std::string_view> passages, std::string_view piece) {
  return !piece.empty() && std::string_view(" \t\n\v\f\r").find(piece[0]) == std::string_view::npos &&
         find_invalid_utf8(piece) == std::string_view::npos && contains(passages, piece);
}

TEST(QuotedAnswer, QuotesPiecesOfTheNamedDocumentAndNothingElse) {
  Random random(11);
  // Everything that JSON spells in its own way, characters of two to four bytes that begin alike, and white space.
  const std::vector<std::string> letters = {"a", "b", " ", "\n", "\"", "\\", "\x01", "\x1f", "\t", "ä", "å", "€", "😀", "😁", "u"};
  size_t quoted = 0, refused = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> texts;
    for (int t = 0; t < 3; ++t) texts.push_back(random_text(random, letters, 25));
    const std::vector<std::string_view> first = {texts[0]}, second = {texts[1], texts[2]};
    const auto machine = compiled({.documents = {{"one.md", first}, {"one.md2", second}}});
    for (const auto& [name, passages] : {std::pair("one.md", std::span(first)), {"one.md2", std::span(second)}}) {
      for (int probe = 0; probe < 40; ++probe) {
        const std::string_view from = random.pick(texts);
        const size_t at = random.below(from.size() + 1);
        std::string piece = probe % 4 == 0 ? random_text(random, letters, 3) : std::string(from.substr(at, random.below(8)));
        if (find_invalid_utf8(piece) != std::string_view::npos) continue;  // JSON cannot spell it
        const bool may = may_quote(passages, piece);
        ++(may ? quoted : refused);
        ASSERT_EQ(accepts(*machine, quoting(name, piece)), may) << name << ": " << piece;
      }
      ASSERT_FALSE(accepts(*machine, quoting("two.md", "a")));
    }
  }
  EXPECT_GT(quoted, 1000u);
  EXPECT_GT(refused, 1000u);
}

// Bytes by chance among those the machine allows: no dead ends, and what comes out reads as an answer whose quotes are there.
TEST(QuotedAnswer, RandomWalksEndAndQuoteOnlyWhatIsThere) {
  Random random(5);
  const std::vector<std::string> letters = {"a", " ", "\n", "\"", "\\", "\x02", "\x7f", "ü", "漢", "😀"};
  size_t quotes = 0;
  for (int round = 0; round < 150; ++round) {
    std::vector<std::string> texts;
    std::vector<std::vector<std::string_view>> passages(4);
    for (int t = 0; t < 8; ++t) texts.push_back(random_text(random, letters, 40));
    QuotedAnswerOptions options{.thinking = round % 3 == 0, .max_quotes = 3, .max_quote = 12};
    const char* names[] = {"a \"b\".md", "a", "aa/\\b", "ä"};
    for (size_t d = 0; d < 4; ++d) {
      passages[d] = {texts[2 * d], texts[2 * d + 1]};
      options.documents.push_back({names[d], passages[d]});
    }
    const auto machine = compiled(options);
    std::string text;
    auto state = machine->start();
    while (!machine->can_end(state, text)) {
      ASSERT_LT(text.size(), 100'000u) << text.substr(0, 1000);
      std::vector<std::pair<uint8_t, Machine::State>> next;
      for (int b = 0; b < 256; ++b)
        if (const auto s = machine->step(state, static_cast<uint8_t>(b), text)) next.emplace_back(static_cast<uint8_t>(b), *s);
      ASSERT_FALSE(next.empty()) << "dead end behind: " << text;
      auto chosen = random.pick(next);
      if (text.size() > 300)  // on to the end
        for (const auto& one : next)
          if (one.first == '"') chosen = one;
      if (options.thinking && text.find("</think>") == std::string::npos && random.chance(0.8)) {
        const std::string_view mark = "</think>";
        size_t done = 0;
        while (done < mark.size() && !text.ends_with(mark.substr(0, mark.size() - done))) ++done;
        for (const auto& one : next)
          if (one.first == static_cast<uint8_t>(mark[mark.size() - done])) chosen = one;
      }
      state = machine->settle(chosen.second, text);
      text += static_cast<char>(chosen.first);
    }
    ASSERT_TRUE(accepts(*machine, text));
    const size_t begin = options.thinking ? text.find("</think>\n\n") + 10 : 0;
    const auto answer = Json::parse(std::string_view(text).substr(begin), "answer");
    ASSERT_TRUE(answer) << answer.error().message << text;
    EXPECT_FALSE(answer->find("answer")->as_string().empty());
    const auto& list = answer->find("quotes")->as_array();
    EXPECT_LE(list.size(), 3u);
    for (const Json& quote : list) {
      const size_t d = static_cast<size_t>(std::find(names, names + 4, quote.find("document")->as_string()) - names);
      ASSERT_LT(d, 4u);
      const std::string& piece = quote.find("text")->as_string();
      EXPECT_TRUE(may_quote(passages[d], piece)) << piece;
      EXPECT_LE(code_points(piece).size(), 12u);
      ++quotes;
    }
  }
  EXPECT_GT(quotes, 50u);
}

TEST(QuotedAnswer, HasNoQuotesWhereThereIsNothingToQuote) {
  const std::string_view blank = " \n ";
  const auto machine = compiled({.documents = {{"blank.md", {blank}}, {"empty.md", {}}}});
  EXPECT_TRUE(accepts(*machine, R"({"quotes": [], "answer": "Nothing."})"));
  EXPECT_FALSE(accepts(*machine, R"({"quotes": [], "answer": ""})"));
  EXPECT_FALSE(accepts(*machine, quoting("blank.md", " ")));
}

TEST(QuotedAnswer, FreeQuotesSayWhatTheyLike) {
  const std::string_view text = "The mill turns.";
  const auto machine = compiled({.documents = {{"mill.md", {text}}}, .verbatim = false, .max_quote = 20});
  EXPECT_TRUE(accepts(*machine, quoting("mill.md", "The mill stands.")));
  EXPECT_FALSE(accepts(*machine, quoting("mill.md", "The mill stands, and the moon is a cheese.")));
  EXPECT_FALSE(accepts(*machine, quoting("other.md", "The mill turns.")));
}

TEST(QuotedAnswer, BoundsTheQuotesAndTheirLength) {
  const std::string_view text = "0123456789";
  const auto machine = compiled({.documents = {{"d", {text}}}, .max_quotes = 1, .max_quote = 4});
  EXPECT_TRUE(accepts(*machine, quoting("d", "2345")));
  EXPECT_FALSE(accepts(*machine, quoting("d", "23456")));
  EXPECT_FALSE(accepts(*machine, R"({"quotes": [{"document": "d", "text": "2"}, {"document": "d", "text": "3"}], "answer": "x"})"));
  EXPECT_FALSE(compile_quoted_answer({.documents = {{"d", {text}}, {"d", {text}}}}));
  EXPECT_FALSE(compile_quoted_answer({.max_quotes = 0}));
  EXPECT_FALSE(compile_quoted_answer({.documents = {{"\xff", {text}}}}));
}

TEST(QuotedAnswer, MasksAreThoseOfTheWalk) {
  const std::string_view text = "The \"quern\" grinds\nrye.";
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  for (const char* more :
       {"The", "quern", "rinds\\nr", "\", \"text\": \"T", "\", \"text\": \"x", "ern\\\" g", "\"}], \"", "rye.\"}]"})
    tokens.emplace_back(more);
  const Vocabulary vocabulary(tokens, {});
  const auto judge = compiled({.documents = {{"a", {text}}, {"b", {"rye"}}}});
  Matcher matcher(compiled({.documents = {{"a", {text}}, {"b", {"rye"}}}}), vocabulary);
  const std::string said = quoting("a", "The \"quern\" grinds\nrye.") + "";
  for (const char c : said) {
    const auto mask = matcher.mask();
    ASSERT_TRUE(mask);
    for (size_t id = 0; id < tokens.size(); ++id) {
      auto state = std::optional(matcher.state());
      std::string so_far(matcher.text());
      for (size_t i = 0; i < tokens[id].size() && state; ++i) {
        state = judge->step(*state, static_cast<uint8_t>(tokens[id][i]), so_far);
        so_far += tokens[id][i];
      }
      ASSERT_EQ((*mask)->test(static_cast<int32_t>(id)), state.has_value()) << matcher.text() << " | " << tokens[id];
    }
    ASSERT_TRUE(matcher.accept(static_cast<uint8_t>(c)));
  }
  EXPECT_TRUE(matcher.can_end());
}

}  // namespace
}  // namespace quern
