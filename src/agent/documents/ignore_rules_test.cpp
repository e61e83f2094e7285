#include "agent/documents/ignore_rules.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

TEST(IgnoreRules, ReadPatternsAsGitDoes) {
  IgnoreRules rules;
  rules.add("",
            "# a comment\n*.log\n/build\nlogs/\ndoc/*.txt\n**/cache\nvendor/**\na/**/z\n!keep.log\n[a-c]?.md\n\\#real\nname \\ \n");
  for (const auto& [path, folder] : {std::pair("x.log", false),
                                     {"deep/er/x.log", false},
                                     {"build", true},
                                     {"logs", true},
                                     {"in/logs", true},
                                     {"doc/a.txt", false},
                                     {"cache", true},
                                     {"x/y/cache", false},
                                     {"vendor/x", false},
                                     {"vendor/x/y", false},
                                     {"a/z", false},
                                     {"a/b/c/z", false},
                                     {"b1.md", false},
                                     {"#real", false}})
    EXPECT_TRUE(rules.ignores(path, folder)) << path;
  for (const auto& [path, folder] : {std::pair("keep.log", false),
                                     {"in/keep.log", false},
                                     {"sub/build", true},
                                     {"logs", false},
                                     {"doc/deep/a.txt", false},
                                     {"doc", true},
                                     {"x/doc/a.txt", false},
                                     {"vendor", true},
                                     {"xa/z", false},
                                     {"d1.md", false},
                                     {"b12.md", false},
                                     {"logbook", false}})
    EXPECT_FALSE(rules.ignores(path, folder)) << path;
}

TEST(IgnoreRules, OfAnInnerFolderHoldThereAndComeLater) {
  IgnoreRules rules;
  rules.add("", "*.tmp\n");
  rules.add("in/", "!wanted.tmp\n/top.md\n");
  EXPECT_TRUE(rules.ignores("wanted.tmp", false));
  EXPECT_FALSE(rules.ignores("in/wanted.tmp", false));
  EXPECT_TRUE(rules.ignores("in/top.md", false));
  EXPECT_FALSE(rules.ignores("in/deep/top.md", false));
  EXPECT_FALSE(rules.ignores("top.md", false));
}

TEST(IgnoreRules, HostilePatternsCostNoTime) {
  IgnoreRules rules;
  std::string stars;
  for (int i = 0; i < 400; ++i) stars += "*a";
  rules.add("", stars + "b\n" + std::string(100'000, '*') + "\n[\n[]\n!\n/\n");
  EXPECT_FALSE(rules.ignores(std::string(2000, 'a'), false));
}

}  // namespace
}  // namespace quern
