// The small headers: Random, Result, Checksum64, FunctionRef.
#include <gtest/gtest.h>

#include <set>

#include "base/checksum.h"
#include "base/function_ref.h"
#include "base/random.h"
#include "base/result.h"

namespace quern {
namespace {

TEST(Random, IsTheSameOnEveryMachine) {
  Random random(0);  // the published first outputs of SplitMix64 for seed 0
  EXPECT_EQ(random.next(), 0xE220A8397B1DCDAFULL);
  EXPECT_EQ(random.next(), 0x6E789E6AA1B965F4ULL);
  EXPECT_EQ(random.next(), 0x06C45D188009454FULL);
}

TEST(Random, StaysInsideItsBoundsAndReachesThem) {
  Random random(1);
  std::set<int64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    seen.insert(random.between(-2, 3));
    EXPECT_EQ(random.below(1), 0u);
    const double unit = random.unit();
    EXPECT_TRUE(unit >= 0 && unit < 1);
    EXPECT_FALSE(random.chance(0));
    EXPECT_TRUE(random.chance(1));
  }
  EXPECT_EQ(seen, (std::set<int64_t>{-2, -1, 0, 1, 2, 3}));
}

TEST(Fnv1a, GivesThePublishedVectors) {
  EXPECT_EQ(fnv1a_64(""), 0xCBF29CE484222325ULL);
  EXPECT_EQ(fnv1a_64("a"), 0xAF63DC4C8601EC8CULL);
  EXPECT_EQ(fnv1a_64("foobar"), 0x85944171F73967E8ULL);
}

uint64_t checksum(std::string_view text) {
  Checksum64 sum;
  sum.add(text);
  return sum.value();
}

TEST(Checksum64, DoesNotDependOnHowTheBytesArrive) {
  Random random(2);
  std::string text;
  for (int i = 0; i < 500; ++i) text += static_cast<char>(random.below(256));
  for (int repeat = 0; repeat < 200; ++repeat) {
    Checksum64 sum;
    for (size_t at = 0; at < text.size();) {
      const size_t count = std::min<size_t>(text.size() - at, random.below(repeat < 100 ? 5 : 100));
      sum.add(std::string_view(text).substr(at, count));
      at += count;
    }
    ASSERT_EQ(sum.value(), checksum(text));
  }
}

TEST(Checksum64, ChangesWithEveryBitAndWithTheLength) {
  std::set<uint64_t> seen{checksum("")};
  std::string text;
  for (int length = 1; length <= 70; ++length) {
    text += '\0';
    EXPECT_TRUE(seen.insert(checksum(text)).second) << length;
  }
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string changed = text;
    changed[bit / 8] = static_cast<char>(1u << bit % 8);
    EXPECT_TRUE(seen.insert(checksum(changed)).second) << bit;
  }
}

Result<int> half(int x) {
  if (x % 2 != 0) return fail(Errc::invalid_argument, "{} is odd", x);
  return x / 2;
}
Result<int> quarter(int x) {
  QUERN_ASSIGN(const int once, half(x));
  QUERN_ASSIGN(const int twice, half(once));
  return twice;
}
Result<void> even(int x) {
  QUERN_TRY(half(x));
  return {};
}

TEST(Result, PassesTheFirstErrorUp) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_EQ(quarter(7).error().message, "7 is odd");
  EXPECT_EQ(quarter(6).error().message, "3 is odd");
  EXPECT_TRUE(even(2));
  EXPECT_EQ(even(3).error().code, Errc::invalid_argument);
  EXPECT_EQ(Result<int>(with_context(half(3).error(), "request")).error().message, "request: 3 is odd");
}

TEST(Result, KeepsItsMessageOnOneLineWhateverIsNamedInIt) {
  EXPECT_EQ(Result<int>(fail(Errc::malformed, "no {}", "a\nb\x1b[2J\x7f\r")).error().message, "no a\\nb\\x1b[2J\\x7f\\x0d");
  EXPECT_EQ(Result<int>(with_context(half(3).error(), "a\tb é")).error().message, "a\\x09b é: 3 is odd");
}

TEST(FunctionRef, CallsWhatItRefersTo) {
  int calls = 0;
  const auto add = [&calls](int n) { return calls += n; };
  const FunctionRef<int(int)> ref = add;
  EXPECT_EQ(ref(2), 2);
  EXPECT_EQ(ref(3), 5);
}

}  // namespace
}  // namespace quern
