#include "constrain/number_language.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/random.h"

namespace quern {
namespace {

Decimal decimal(std::string_view text) {
  const auto value = Decimal::parse(text);
  EXPECT_TRUE(value) << text;
  return value.value_or(Decimal{});
}

// A number in units of 10^-4, with the text it has with `places` digits of fraction.
constexpr int64_t kUnits = 10'000;
struct Sample {
  int64_t units;
  std::string text;
};

Sample random_sample(Random& random) {
  constexpr int64_t kLast[] = {1, 11, 129, 1'004, 99'998};
  const int64_t places = random.between(0, 4), integer = random.between(0, kLast[random.below(5)]);
  int64_t fraction = 0, unit = kUnits;
  std::string digits;
  for (int64_t i = 0; i < places; ++i) {
    const int64_t digit = random.chance(0.3) ? random.between(0, 9) : 0;
    digits += static_cast<char>('0' + digit);
    unit /= 10;
    fraction += digit * unit;
  }
  const bool negative = random.chance(0.5);
  const int64_t units = integer * kUnits + fraction;
  return {negative ? -units : units, (negative ? "-" : "") + std::to_string(integer) + (places > 0 ? "." + digits : "")};
}

TEST(Decimal, WritesNumbersWithoutTheirExponents) {
  for (const auto& [text, plain] : {std::pair{"0", "0"},
                                    {"-0.00", "0"},
                                    {"1", "1"},
                                    {"-2.50", "-2.5"},
                                    {"1e-7", "0.0000001"},
                                    {"12.5E+2", "1250"},
                                    {"0.00125e3", "1.25"},
                                    {"123e-2", "1.23"},
                                    {"1e20", "100000000000000000000"},
                                    {"0e999999999999999999999", "0"},
                                    {"100", "100"},
                                    {"1e-007", "0.0000001"}})
    EXPECT_EQ(decimal(text).text(), plain) << text;
}

TEST(Decimal, RefusesWhatIsNoJsonNumber) {
  for (const char* text : {"", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x1", "1 ", "NaN", "1.2.3", "--1"}) {
    const auto value = Decimal::parse(text);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(value.error().code, Errc::malformed) << text;
  }
}

TEST(Decimal, RefusesNumbersWithMoreDigitsThanTheLimit) {
  EXPECT_TRUE(Decimal::parse("1e399"));
  EXPECT_TRUE(Decimal::parse("1e-400"));
  for (const char* text : {"1e400", "-1E400", "1e-401", "1e99999999999999999999", "1e-99999999999999999999"}) {
    const auto value = Decimal::parse(text);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(value.error().code, Errc::out_of_range) << text;
  }
}

TEST(NumberLanguage, PlainIsTheSpellingOfJsonWithoutExponents) {
  Exprs e;
  const ExprId plain = number_plain(e);
  for (const char* text : {"0", "-0", "7", "10.50", "-3.0", "123456789012345678901234567890"})
    EXPECT_TRUE(e.matches(plain, text)) << text;
  for (const char* text : {"1e5", "-1.5E-07", "0e+0"}) EXPECT_FALSE(e.matches(plain, text)) << text;
  for (const char* text : {"", "-", "00", "01", "1.", ".1", "+1", "1e", "1e+", "1.e1", "- 1"}) {
    EXPECT_FALSE(e.matches(plain, text)) << text;
  }
}

TEST(NumberLanguage, FiniteNumbersAreThoseThatJsonReads) {
  Exprs e;
  const ExprId finite = e.both(number_plain(e), number_finite(e));
  constexpr std::string_view kLargest =
      "1797693134862315807937289714053034150799341327100378269361737789804449682927647509466490179775872070"
      "9633028641669288791094655554785194040263065748867150582068190890200070838367627385484581771153176447"
      "5730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904"
      "174497791";
  ASSERT_EQ(kLargest.size(), 309u);
  std::vector<std::string> texts{"0", "-0", "7.25", "1" + std::string(400, '0'), "0." + std::string(400, '1')};
  for (size_t at = 0; at < kLargest.size(); ++at)  // one digit more or less, anywhere; one digit longer or shorter
    for (const int change : {-1, 0, 1})
      for (const char* behind : {"", "0", ".0", ".999"}) {
        std::string text(kLargest);
        text[at] = static_cast<char>(std::clamp(text[at] + change, at == 0 ? int{'1'} : int{'0'}, int{'9'}));
        texts.push_back(text + behind);
        texts.push_back("-" + text + behind);
        text.pop_back();
        texts.push_back(text + behind);
      }
  for (const std::string& text : texts) EXPECT_EQ(e.matches(finite, text), Json::parse(text, "number").has_value()) << text;
}

TEST(NumberLanguage, IntegersMayEndInZeroFractionsWhereTheDialectSaysSo) {
  Exprs e;
  const ExprId strict = integer_valued(e, false), by_value = integer_valued(e, true);
  EXPECT_TRUE(e.matches(strict, "-12"));
  EXPECT_FALSE(e.matches(strict, "1.0"));
  EXPECT_TRUE(e.matches(by_value, "1.0"));
  EXPECT_TRUE(e.matches(by_value, "-0.00"));
  EXPECT_FALSE(e.matches(by_value, "1.01"));
  EXPECT_FALSE(e.matches(by_value, "1."));
}

TEST(NumberLanguage, ComparesByExactValueOnRandomDecimals) {
  Random random(5);
  for (int i = 0; i < 300; ++i) {
    Exprs e;
    const Sample bound = random_sample(random);
    const Decimal b = decimal(bound.text);
    const ExprId ge = at_least(e, b), gt = greater_than(e, b), le = at_most(e, b), lt = less_than(e, b), eq = equal_to(e, b);
    for (int k = 0; k < 60; ++k) {
      Sample x = random_sample(random);
      if (k % 4 == 0) x = {bound.units, bound.text};
      if (k % 8 == 0) x.text += bound.text.find('.') == std::string::npos ? ".00" : "0";
      SCOPED_TRACE(x.text + " against " + bound.text);
      EXPECT_EQ(e.matches(ge, x.text), x.units >= bound.units);
      EXPECT_EQ(e.matches(gt, x.text), x.units > bound.units);
      EXPECT_EQ(e.matches(le, x.text), x.units <= bound.units);
      EXPECT_EQ(e.matches(lt, x.text), x.units < bound.units);
      EXPECT_EQ(e.matches(eq, x.text), x.units == bound.units);
    }
    ASSERT_FALSE(e.exhausted());
  }
}

TEST(NumberLanguage, ComparesDigitsThatNoDoubleHolds) {
  Exprs e;
  const ExprId ge = at_least(e, decimal("100000000000000000000000000000.00000000000000000001"));
  EXPECT_TRUE(e.matches(ge, "100000000000000000000000000000.00000000000000000001"));
  EXPECT_FALSE(e.matches(ge, "100000000000000000000000000000.0000000000000000000099999"));
  EXPECT_TRUE(e.matches(ge, "1000000000000000000000000000000"));
  EXPECT_FALSE(e.matches(ge, "99999999999999999999999999999"));
}

TEST(NumberLanguage, NegativeZeroIsZero) {
  Exprs e;
  const Decimal zero = decimal("-0.0");
  for (const char* text : {"0", "-0", "0.00", "-0.0"}) {
    EXPECT_TRUE(e.matches(at_least(e, zero), text)) << text;
    EXPECT_TRUE(e.matches(at_most(e, zero), text)) << text;
    EXPECT_TRUE(e.matches(equal_to(e, zero), text)) << text;
    EXPECT_FALSE(e.matches(less_than(e, zero), text)) << text;
    EXPECT_FALSE(e.matches(greater_than(e, zero), text)) << text;
  }
  EXPECT_TRUE(e.matches(less_than(e, zero), "-0.01"));
}

TEST(NumberLanguage, MultiplesAreExactOnRandomDecimals) {
  Random random(11);
  for (int i = 0; i < 300; ++i) {
    Exprs e;
    Sample divisor = random_sample(random);
    if (divisor.units == 0) continue;
    if (divisor.text[0] == '-') divisor = {-divisor.units, divisor.text.substr(1)};
    const auto multiples = multiple_of(e, decimal(divisor.text));
    ASSERT_TRUE(multiples) << multiples.error().message;
    const int64_t whole = divisor.units * 7;
    EXPECT_TRUE(e.matches(*multiples, Decimal::parse(std::to_string(whole) + "e-4")->text())) << divisor.text;
    for (int k = 0; k < 60; ++k) {
      const Sample x = random_sample(random);
      EXPECT_EQ(e.matches(*multiples, x.text), x.units % divisor.units == 0) << x.text << " of " << divisor.text;
    }
  }
}

TEST(NumberLanguage, EveryStateOfAMultipleLeadsToOne) {
  for (const char* text : {"1", "3", "8", "30", "300", "0.01", "0.03", "0.25", "1.5", "0.0007", "12.5"}) {
    Exprs e;
    const ExprId multiples = *multiple_of(e, decimal(text));
    // Breadth first over a few hundred states; from each, some text of bounded length must be accepted.
    std::vector<ExprId> states{multiples};
    std::map<ExprId, bool> seen{{multiples, true}};
    for (size_t i = 0; i < states.size() && i < 400; ++i) {
      const auto span = e.derivative(states[i]);
      for (const Exprs::Piece& piece : std::vector<Exprs::Piece>(span.begin(), span.end()))
        if (piece.target != Exprs::kNothing && seen.try_emplace(piece.target, true).second) states.push_back(piece.target);
    }
    for (const ExprId state : states) {
      const ExprId not_plain = e.without(state, e.literal("never"));  // an intersection is searched, a leaf is believed
      EXPECT_TRUE(e.live(not_plain)) << text;
    }
    EXPECT_FALSE(e.exhausted());
  }
}

TEST(NumberLanguage, BoundsAndMultiplesMeetInIntersections) {
  Exprs e;
  const ExprId teens =
      e.both({at_least(e, decimal("13")), at_most(e, decimal("19")), *multiple_of(e, decimal("5")), integer_valued(e, false)});
  EXPECT_TRUE(e.matches(teens, "15"));
  EXPECT_EQ(e.count(teens, 100), 1);
  const ExprId none = e.both({greater_than(e, decimal("15")), less_than(e, decimal("20")), *multiple_of(e, decimal("5"))});
  EXPECT_FALSE(e.live(none));
  EXPECT_FALSE(e.live(e.both(greater_than(e, decimal("2")), less_than(e, decimal("1.5")))));
  EXPECT_TRUE(e.live(e.both(greater_than(e, decimal("1.4999")), less_than(e, decimal("1.5")))));
}

TEST(NumberLanguage, DivisorsMustBePositiveAndOfBoundedSize) {
  Exprs e;
  EXPECT_EQ(multiple_of(e, decimal("0")).error().code, Errc::invalid_argument);
  EXPECT_EQ(multiple_of(e, decimal("-2")).error().code, Errc::invalid_argument);
  EXPECT_TRUE(multiple_of(e, decimal("1000000000")));
  EXPECT_EQ(multiple_of(e, decimal("1000000001")).error().code, Errc::out_of_range);
  EXPECT_EQ(multiple_of(e, decimal("1.0000000001")).error().code, Errc::out_of_range);
  EXPECT_TRUE(e.matches(*multiple_of(e, decimal("1e-300")), "0.5"));
}

}  // namespace
}  // namespace quern
