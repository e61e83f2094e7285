#include "constrain/expr.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace quern {
namespace {

using Texts = std::set<std::string>;

// Every text over {a, b, c} of at most this many characters, the shorter first: the universe of the naive recogniser below.
constexpr size_t kLongest = 5;
const std::vector<std::string>& universe() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> out{""};
    for (size_t i = 0; out[i].size() < kLongest; ++i)
      for (const char c : {'a', 'b', 'c'}) out.push_back(out[i] + c);
    return out;
  }();
  return all;
}

Texts joined(const Texts& a, const Texts& b) {
  Texts out;
  for (const std::string& x : a)
    for (const std::string& y : b)
      if (x.size() + y.size() <= kLongest) out.insert(x + y);
  return out;
}

// The texts over {a, b, c} in which the number of `a` leaves this remainder by three.
class CountsA : public Automaton {
 public:
  explicit CountsA(State remainder) : remainder_(remainder) {}
  bool accepts(State state) const override { return state == remainder_; }
  void edges(State state, std::vector<Edge>& out) const override {
    out.push_back({{'a', 'a'}, (state + 1) % 3});
    out.push_back({{'b', 'c'}, state});
  }

 private:
  State remainder_;
};

// A random expression, and the texts of the universe that it has, worked out from the meaning of each operation.
struct Pair {
  ExprId id;
  Texts texts;
};

class Maker {
 public:
  explicit Maker(uint32_t seed) : random_(seed) {}
  Exprs exprs;

  Pair make(int depth) {
    switch (depth == 0 ? random_() % 4 : random_() % 11) {
      case 0:
        return characters();
      case 1:
        return literal();
      case 2:
        return some_literals();
      case 3:
        return constant();
      case 4: {
        Pair a = make(depth - 1), b = make(depth - 1);
        return {exprs.concat(a.id, b.id), joined(a.texts, b.texts)};
      }
      case 5: {
        Pair a = make(depth - 1), b = make(depth - 1), c = make(depth - 1);
        Texts texts = a.texts;
        texts.insert(b.texts.begin(), b.texts.end());
        texts.insert(c.texts.begin(), c.texts.end());
        return {exprs.any_of({a.id, b.id, c.id}), texts};
      }
      case 6: {
        Pair a = make(depth - 1), b = make(depth - 1);
        return {exprs.both(a.id, b.id), kept(a.texts, [&](const std::string& t) { return b.texts.contains(t); })};
      }
      case 7: {
        Pair a = make(depth - 1);
        return {exprs.complement(a.id), all_but(a.texts)};
      }
      case 8: {
        Pair a = make(depth - 1), b = make(depth - 1);
        return {exprs.without(a.id, b.id), kept(a.texts, [&](const std::string& t) { return !b.texts.contains(t); })};
      }
      default:
        return repeat(make(depth - 1));
    }
  }

 private:
  template <class Keep>
  static Texts kept(const Texts& from, const Keep& keep) {
    Texts out;
    for (const std::string& t : from)
      if (keep(t)) out.insert(t);
    return out;
  }
  static Texts all_but(const Texts& texts) {
    Texts out;
    for (const std::string& t : universe())
      if (!texts.contains(t)) out.insert(t);
    return out;
  }
  std::string text(size_t longest) {
    std::string out;
    for (size_t n = random_() % (longest + 1); n > 0; --n) out += static_cast<char>('a' + random_() % 3);
    return out;
  }
  Pair characters() {
    std::vector<CodeRange> ranges;
    Texts texts;
    for (const char32_t c : {'a', 'b', 'c'})
      if (random_() % 2 == 0) {
        ranges.push_back({c, c});
        texts.insert(std::string(1, static_cast<char>(c)));
      }
    return {exprs.chars(CharSet(ranges)), texts};
  }
  Pair literal() {
    const std::string t = text(3);
    return {exprs.literal(t), {t}};
  }
  Pair some_literals() {
    Texts texts;
    std::vector<std::string> list;
    for (size_t n = random_() % 4; n > 0; --n) texts.insert(list.emplace_back(text(4)));
    return {exprs.literals(list), texts};
  }
  Pair constant() {
    switch (random_() % 5) {
      case 0:
        return {Exprs::kNothing, {}};
      case 1:
        return {Exprs::kEmpty, {""}};
      case 2:
        return {Exprs::kAll, all_but({})};
      case 3: {
        const int64_t min = random_() % 3, max = min + random_() % 3;
        return {exprs.length(min, max), kept(all_but({}), [&](const std::string& t) {
                  return static_cast<int64_t>(t.size()) >= min && static_cast<int64_t>(t.size()) <= max;
                })};
      }
      default: {
        const auto remainder = static_cast<int64_t>(random_() % 3), start = static_cast<int64_t>(random_() % 3);
        return {exprs.automaton(std::make_shared<CountsA>(remainder), start), kept(all_but({}), [&](const std::string& t) {
                  return (start + std::count(t.begin(), t.end(), 'a')) % 3 == remainder;
                })};
      }
    }
  }
  Pair repeat(const Pair& a) {
    const int64_t min = random_() % 4, max = random_() % 2 == 0 ? Exprs::kUnbounded : min + random_() % 3;
    Texts texts, power{""};
    // Once kLongest + min rounds are done, further ones add only what the empty text among them had added before.
    for (int64_t n = 0; n <= (max == Exprs::kUnbounded ? min + static_cast<int64_t>(kLongest) : max); ++n) {
      if (n >= min) texts.insert(power.begin(), power.end());
      power = joined(power, a.texts);
    }
    return {exprs.repeat(a.id, min, max), texts};
  }

  std::mt19937 random_;
};

Texts matched(Exprs& exprs, ExprId e) {
  Texts out;
  for (const std::string& t : universe())
    if (exprs.matches(e, t)) out.insert(t);
  return out;
}

TEST(Exprs, RandomExpressionsHaveTheTextsThatTheirMeaningSays) {
  for (uint32_t seed = 0; seed < 250; ++seed) {
    Maker maker(seed);
    const Pair pair = maker.make(1 + static_cast<int>(seed % 4));
    ASSERT_EQ(matched(maker.exprs, pair.id), pair.texts) << "seed " << seed;
    ASSERT_FALSE(maker.exprs.exhausted());
  }
}

TEST(Exprs, ExpressionsThatShareAnArenaDoNotDisturbOneAnother) {
  Maker maker(4242);
  std::vector<Pair> pairs;
  for (int i = 0; i < 40; ++i) pairs.push_back(maker.make(2));
  for (size_t i = 0; i < pairs.size(); ++i) ASSERT_EQ(matched(maker.exprs, pairs[i].id), pairs[i].texts) << i;
}

TEST(Exprs, IsLiveExactlyWhenSomeTextMatches) {
  const CharSet abc({{'a', 'c'}});
  for (uint32_t seed = 1000; seed < 1250; ++seed) {
    Maker maker(seed);
    const Pair pair = maker.make(2);
    Exprs& exprs = maker.exprs;
    // Small enough that a language over {a, b, c} with a word has a short one.
    const ExprId e = exprs.both({pair.id, exprs.star(exprs.chars(abc)), exprs.length(0, kLongest)});
    ASSERT_EQ(exprs.live(e), !pair.texts.empty()) << "seed " << seed;
  }
}

TEST(Exprs, CountsTheTextsUpToACap) {
  const CharSet abc({{'a', 'c'}});
  for (uint32_t seed = 2000; seed < 2200; ++seed) {
    Maker maker(seed);
    const Pair pair = maker.make(2);
    Exprs& exprs = maker.exprs;
    const ExprId e = exprs.both({pair.id, exprs.star(exprs.chars(abc)), exprs.length(0, kLongest)});
    const auto all = static_cast<int64_t>(pair.texts.size());
    for (const int64_t cap : {int64_t{1}, int64_t{7}, int64_t{100}, int64_t{1'000'000}})
      ASSERT_EQ(exprs.count(e, cap), std::min(all, cap)) << "seed " << seed << " cap " << cap;
  }
}

TEST(Exprs, CountsLanguagesOfVeryLongWords) {
  Exprs exprs;
  EXPECT_EQ(exprs.count(exprs.length(0, 9000), 1000), 1000);
  const ExprId letter = exprs.chars(CharSet::one('a'));
  EXPECT_EQ(exprs.count(exprs.repeat(letter, 0, 9000), 100'000), 9001);
  EXPECT_EQ(exprs.count(exprs.star(letter), 1000), 1000);
  EXPECT_FALSE(exprs.exhausted());
}

TEST(Exprs, CountsWithoutOverflow) {
  Exprs exprs;
  constexpr int64_t cap = int64_t{1} << 60;
  EXPECT_EQ(exprs.count(Exprs::kNothing, cap), 0);
  EXPECT_EQ(exprs.count(Exprs::kEmpty, cap), 1);
  EXPECT_EQ(exprs.count(Exprs::kAll, cap), cap);
  EXPECT_EQ(exprs.count(exprs.length(0, 1000), cap), cap);
  EXPECT_EQ(exprs.count(exprs.repeat(exprs.chars(CharSet({{'0', '9'}})), 3, 3), cap), 1000);
  EXPECT_EQ(exprs.count(exprs.star(exprs.literal("ab")), 5), 5);
}

TEST(Exprs, CountsFewTextsBelowALargerCap) {
  Exprs exprs;
  const ExprId four = exprs.concat(exprs.literal("x"), exprs.chars(CharSet({{'a', 'd'}})));
  for (int64_t cap = 1; cap < 12; ++cap) EXPECT_EQ(exprs.count(four, cap), std::min<int64_t>(4, cap));
}

TEST(Exprs, CountsAWordLoopedOverButNotItsDeadEnds) {
  Exprs exprs;
  const ExprId a = exprs.literal("a");
  EXPECT_EQ(exprs.count(exprs.both(exprs.star(a), exprs.literals({"", "a", "aaa", "b"})), 100), 3);
  EXPECT_EQ(exprs.count(exprs.both(exprs.plus(a), exprs.plus(exprs.literal("b"))), 100), 0);
}

TEST(Exprs, DerivativesCoverEveryCodePointInOrderAndNeighboursDiffer) {
  for (uint32_t seed = 3000; seed < 3100; ++seed) {
    Maker maker(seed);
    const ExprId e = maker.make(3).id;
    const auto span = maker.exprs.derivative(e);
    const std::vector<Exprs::Piece> pieces(span.begin(), span.end());
    ASSERT_FALSE(pieces.empty());
    EXPECT_EQ(pieces.back().last, kLastCodePoint);
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      EXPECT_LT(pieces[i].last, pieces[i + 1].last);
      EXPECT_NE(pieces[i].target, pieces[i + 1].target);
    }
    for (const char32_t c : {char32_t{0}, U'a', U'b', U'c', U'd', kLastCodePoint}) {
      const auto piece = std::find_if(pieces.begin(), pieces.end(), [&](const Exprs::Piece& p) { return p.last >= c; });
      EXPECT_EQ(maker.exprs.derivative(e, c), piece->target);
    }
  }
}

TEST(Exprs, EqualConstructionsHaveEqualIds) {
  Exprs e;
  const ExprId a = e.literal("a"), b = e.literal("b"), c = e.literal("c");
  EXPECT_EQ(e.concat(e.concat(a, b), c), e.concat(a, e.concat(b, c)));
  EXPECT_EQ(e.concat({a, b, c}), e.literal("abc"));
  EXPECT_EQ(e.any_of(a, e.any_of(b, c)), e.any_of(e.any_of(c, a), b));
  EXPECT_EQ(e.any_of(a, a), a);
  EXPECT_EQ(e.any_of(a, b), e.chars(CharSet({{'a', 'b'}})));
  EXPECT_EQ(e.both(a, b), Exprs::kNothing);
  EXPECT_EQ(e.complement(e.complement(e.literal("ab"))), e.literal("ab"));
  EXPECT_EQ(e.any_of(e.literal("ab"), e.complement(e.literal("ab"))), Exprs::kAll);
  EXPECT_EQ(e.both(e.literal("ab"), e.complement(e.literal("ab"))), Exprs::kNothing);
  EXPECT_EQ(e.star(e.star(a)), e.star(a));
  EXPECT_EQ(e.concat(e.star(a), e.star(a)), e.star(a));
  EXPECT_EQ(e.concat(e.repeat(a, 1, 2), e.repeat(a, 3, 4)), e.repeat(a, 4, 6));
  EXPECT_EQ(e.literals({"x"}), e.literal("x"));
  EXPECT_EQ(e.literals({}), Exprs::kNothing);
}

TEST(Exprs, KnowsALanguageThatOnlyBoundsTheLength) {
  Exprs e;
  int64_t min = -7, max = -7;
  const auto bounds = [&](ExprId id) {
    min = max = -7;
    return e.is_length(id, min, max) ? std::pair(min, max) : std::pair<int64_t, int64_t>(-7, -7);
  };
  using P = std::pair<int64_t, int64_t>;
  EXPECT_EQ(bounds(e.length(2, 5)), P(2, 5));
  EXPECT_EQ(bounds(e.length(3, Exprs::kUnbounded)), P(3, Exprs::kUnbounded));
  EXPECT_EQ(bounds(Exprs::kEmpty), P(0, 0));
  EXPECT_EQ(bounds(Exprs::kAnyChar), P(1, 1));
  EXPECT_EQ(bounds(Exprs::kAll), P(0, Exprs::kUnbounded));
  EXPECT_EQ(bounds(e.both(e.length(2, 5), e.length(4, Exprs::kUnbounded))), P(4, 5));
  EXPECT_EQ(bounds(e.concat(e.length(2, 5), e.length(0, 3))), P(2, 8));
  EXPECT_EQ(bounds(e.derivative(e.length(2, 5), 'x')), P(1, 4));
  EXPECT_EQ(bounds(e.complement(e.length(0, 5))), P(6, Exprs::kUnbounded));
  EXPECT_EQ(bounds(e.star(e.literal("a"))), P(-7, -7));
  EXPECT_EQ(bounds(Exprs::kNothing), P(-7, -7));
}

TEST(Exprs, ReadsCodePointsNotBytes) {
  Exprs e;
  const ExprId two = e.length(2, 2);
  EXPECT_TRUE(e.matches(two, "é€"));
  EXPECT_TRUE(e.matches(two, "😀a"));
  EXPECT_FALSE(e.matches(two, "é"));
  EXPECT_TRUE(e.matches(e.literal("naïve 😀"), "naïve 😀"));
  EXPECT_FALSE(e.matches(e.literal("naïve"), "naive"));
  const ExprId cyrillic = e.plus(e.chars(CharSet({{U'а', U'я'}})));
  EXPECT_TRUE(e.matches(cyrillic, "да"));
  EXPECT_FALSE(e.matches(cyrillic, "da"));
}

TEST(Exprs, TakesSomeNamesOfASet) {
  Exprs e;
  const std::vector<std::string> sorted{"", "a", "ab", "abc", "b", "é", "éa"};
  const auto set = make_name_set(sorted);
  const std::vector<bool> among{false, false, true, false, true, false, true};
  const ExprId some = e.names(set, among);
  for (size_t i = 0; i < sorted.size(); ++i) EXPECT_EQ(e.matches(some, sorted[i]), among[i]) << sorted[i];
  EXPECT_FALSE(e.matches(some, "abcd"));
  EXPECT_FALSE(e.live(e.derivative(e.derivative(e.derivative(some, 'a'), 'b'), 'c')));
  EXPECT_EQ(e.names(set, std::vector<bool>(sorted.size(), false)), Exprs::kNothing);
  EXPECT_EQ(e.count(some, 100), 3);
}

TEST(CharSet, IsSortedAndDisjointWhateverTheOrder) {
  EXPECT_EQ(CharSet({{'d', 'f'}, {'a', 'b'}, {'c', 'c'}}), CharSet({{'a', 'f'}}));
  EXPECT_EQ(CharSet({{'a', 'e'}, {'b', 'c'}, {'x', 'w'}}), CharSet({{'a', 'e'}}));
  EXPECT_TRUE(CharSet({{'b', 'a'}}).empty());
  EXPECT_EQ(CharSet({{0, kLastCodePoint}}).complement(), CharSet());
  EXPECT_EQ(CharSet().complement(), CharSet::all());
  EXPECT_EQ(CharSet({{'b', 'c'}}).complement(), CharSet({{0, 'a'}, {'d', kLastCodePoint}}));
  EXPECT_EQ(CharSet({{'a', 'd'}}) & CharSet({{'c', 'z'}}), CharSet({{'c', 'd'}}));
  for (const char32_t c : {U'a', U'c', U'd', U'e'}) EXPECT_EQ(CharSet({{'b', 'c'}, {'e', 'f'}}).contains(c), c == 'c' || c == 'e');
}

// The k-th character from the end is an `a`: 2^k states.
ExprId exponential(Exprs& e, int k) {
  const ExprId ab = e.chars(CharSet({{'a', 'b'}}));
  return e.concat({e.star(ab), e.literal("a"), e.repeat(ab, k, k)});
}

TEST(Exprs, IsExhaustedAfterTooManyNodesAndStaysSafe) {
  Exprs e({.nodes = 200, .transition_ranges = 100'000, .search_states = 100'000});
  std::mt19937 random(3);
  ExprId at = exponential(e, 12);
  for (int i = 0; i < 2000 && !e.exhausted(); ++i) at = e.derivative(at, random() % 2 == 0 ? 'a' : 'b');
  ASSERT_TRUE(e.exhausted());
  EXPECT_LE(e.size(), 200u);
  // Whatever is asked now has some answer, and makes nothing.
  const ExprId fresh = e.literal("something quite new");
  for (const ExprId x : {at, fresh, e.any_of(at, fresh), e.both(at, e.complement(at)), e.star(e.concat(at, at)),
                         e.repeat(fresh, 2, 9), e.literals({"p", "q"}), e.chars(CharSet({{'p', 'q'}}))}) {
    EXPECT_LT(static_cast<size_t>(x), e.size());
    EXPECT_EQ(e.derivative(x).back().last, kLastCodePoint);
    e.derivative(x, 'p');
    e.matches(x, "pq");
    e.live(x);
    e.count(x, 10);
  }
  EXPECT_LE(e.size(), 200u);
  EXPECT_TRUE(e.exhausted());
}

TEST(Exprs, IsExhaustedAfterTooManyTransitions) {
  Exprs e({.nodes = 100'000, .transition_ranges = 100, .search_states = 100'000});
  ExprId at = e.literal("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
  EXPECT_FALSE(e.exhausted());
  for (int i = 0; i < 52; ++i) at = e.derivative(at, static_cast<char32_t>('a' + i % 26));
  EXPECT_TRUE(e.exhausted());
}

TEST(Exprs, IsExhaustedByASearchThatFindsNoEnd) {
  // No text has both lengths, which only a long search would see.
  Exprs e({.nodes = 400'000, .transition_ranges = 4'000'000, .search_states = 50});
  const ExprId a = e.literal("a");
  const ExprId none = e.both(e.concat(e.star(e.literal("aaaaaaaaaaa")), a), e.star(e.literal("aaaaaaaaaaaaaaaaaaaaaa")));
  EXPECT_FALSE(e.live(none));
  EXPECT_FALSE(e.exhausted());
  const ExprId far = e.both({e.concat(e.star(e.repeat(a, 11, 11)), a), e.star(e.repeat(a, 13, 13)), e.star(e.repeat(a, 7, 7))});
  EXPECT_FALSE(e.live(far));
  EXPECT_TRUE(e.exhausted());
}

TEST(Exprs, WorksOnLongLiteralsAndLongLists) {
  Exprs e;
  const std::string text(20'000, 'x');
  const ExprId literal = e.literal(text);
  EXPECT_TRUE(e.matches(literal, text));
  EXPECT_FALSE(e.matches(literal, text + 'x'));
  std::vector<std::string> list;
  for (int i = 0; i < 5000; ++i) list.push_back("value " + std::to_string(i));
  const ExprId some = e.literals(list);
  EXPECT_TRUE(e.matches(some, "value 4711"));
  EXPECT_FALSE(e.matches(some, "value 5000"));
  EXPECT_FALSE(e.matches(some, "value "));
  EXPECT_EQ(e.count(some, 1'000'000), 5000);
  EXPECT_FALSE(e.exhausted());
}

}  // namespace
}  // namespace quern
