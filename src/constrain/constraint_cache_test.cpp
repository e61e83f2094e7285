#include "constrain/constraint_cache.h"

#include <gtest/gtest.h>

#include "constrain/constraint.h"

namespace quern {
namespace {

const Vocabulary& vocabulary() {
  static const Vocabulary made = [] {
    std::vector<std::string> bytes;
    for (int b = 0; b < 256; ++b) bytes.push_back(std::string(1, static_cast<char>(b)));
    bytes.emplace_back();
    return Vocabulary(std::move(bytes), {256});
  }();
  return made;
}

std::unique_ptr<Matcher> matcher(std::string_view pattern) {
  return std::make_unique<Matcher>(std::move(compile_regex(pattern)).value(), vocabulary());
}

TEST(ConstraintCache, GivesBackWhatWasPutUnderTheSameContentAtItsStart) {
  ConstraintCache cache;
  EXPECT_EQ(cache.take("ab"), nullptr);
  auto made = matcher("ab");
  Matcher* const address = made.get();
  ASSERT_TRUE(made->accept('a'));
  cache.put("ab", std::move(made));
  EXPECT_EQ(cache.take("cd"), nullptr);
  const auto taken = cache.take("ab");
  EXPECT_EQ(taken.get(), address);
  EXPECT_EQ(taken->accepted(), 0U);
  EXPECT_EQ(cache.take("ab"), nullptr);
  EXPECT_EQ(cache.bytes(), 0U);
}

TEST(ConstraintCache, DropsTheLongestUnusedBeyondItsBytes) {
  const size_t one = matcher("a+")->bytes() + 1;
  ConstraintCache cache(2 * one + one / 2);
  cache.put("1", matcher("a+"));
  cache.put("2", matcher("a+"));
  cache.put("1", cache.take("1"));
  cache.put("3", matcher("a+"));
  EXPECT_EQ(cache.size(), 2U);
  EXPECT_NE(cache.take("1"), nullptr);
  EXPECT_EQ(cache.take("2"), nullptr);
  EXPECT_NE(cache.take("3"), nullptr);
}

TEST(ConstraintCache, KeepsNothingLargerThanItself) {
  ConstraintCache cache(10);
  cache.put("a", matcher("a+"));
  EXPECT_EQ(cache.size(), 0U);
}

}  // namespace
}  // namespace quern
