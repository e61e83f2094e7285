#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ServerConfig, OptionsAndModels) {
  const auto config = parse_server_config(
      "# who may ask\nhost: 0.0.0.0\nport: 8080\ncors: [https://a.example, https://b.example]\n\nmodels:\n  small: /models/small\n"
      "  large:\n    path: /models/large.gguf\n    aliases: [gpt-4o, claude]\n    pinned: true\n    keep: 10m\nlog-prompts: true\n",
      "f");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->settings.size(), 4u);
  EXPECT_EQ(config->settings[0].key, "host");
  EXPECT_THAT(config->settings[0].values, ElementsAre("0.0.0.0"));
  EXPECT_EQ(config->settings[0].line, 2);
  EXPECT_EQ(config->settings[0].column, 1);
  EXPECT_THAT(config->settings[2].values, ElementsAre("https://a.example", "https://b.example"));
  ASSERT_EQ(config->models.size(), 2u);
  EXPECT_EQ(config->models[0].name, "small");
  EXPECT_EQ(config->models[0].path, "/models/small");
  EXPECT_LT(config->models[0].keep.count(), 0);
  EXPECT_THAT(config->models[1].aliases, ElementsAre("gpt-4o", "claude"));
  EXPECT_TRUE(config->models[1].pinned);
  EXPECT_EQ(config->models[1].keep.count(), 600);
  for (const char* nothing : {"", "\n # only a comment\n\n"}) {
    const auto empty = parse_server_config(nothing, "f");
    ASSERT_TRUE(empty) << empty.error().message;
    EXPECT_TRUE(empty->settings.empty());
  }
}

TEST(ServerConfig, ErrorsNameLineAndColumn) {
  const auto error = [](std::string_view text) {
    const auto config = parse_server_config(text, "f.yaml");
    EXPECT_FALSE(config) << text;
    return config ? std::string() : config.error().message;
  };
  EXPECT_THAT(error("- a\n"), StartsWith("f.yaml:1:1: expected a map"));
  EXPECT_THAT(error("host:\n  a: b\n"), StartsWith("f.yaml:1:1: host: expected a value, found a map"));
  EXPECT_THAT(error("port: 1\nhost: [a, [b]]\n"), StartsWith("f.yaml:2:11: host: expected a value"));
  EXPECT_THAT(error("models: [a]\n"), StartsWith("f.yaml:1:1: models: expected a map of names"));
  EXPECT_THAT(error("models:\n  m:\n    pth: /x\n"),
              StartsWith("f.yaml:3:5: m: pth: unknown key; there are path, aliases, pinned, keep"));
  EXPECT_THAT(error("models:\n  m:\n    aliases: [a]\n"), StartsWith("f.yaml:2:3: m: path is missing"));
  EXPECT_THAT(error("models:\n  m:\n    path: /x\n    pinned: maybe\n"),
              StartsWith("f.yaml:4:5: m: pinned: expected true or false"));
  EXPECT_THAT(error("models:\n  m:\n    path: /x\n    keep: long\n"), HasSubstr("f.yaml:4:5: m: keep: long: expected a time"));
  EXPECT_THAT(error("a: &x 1\nb: *x\n"), HasSubstr("f.yaml:1"));
}

TEST(ServerConfig, TimesAndSizes) {
  EXPECT_EQ(parse_duration("90")->count(), 90);
  EXPECT_EQ(parse_duration("1.5m")->count(), 90);
  EXPECT_EQ(parse_duration("2 h")->count(), 7200);
  EXPECT_EQ(parse_duration("7d")->count(), 7 * 86400);
  EXPECT_EQ(parse_duration("forever")->count(), -1);
  for (const char* bad : {"", "m", "1x", "-5", "nan", "inf", "1e300d"}) EXPECT_FALSE(parse_duration(bad)) << bad;
  EXPECT_EQ(*parse_size("1048576"), 1u << 20);
  EXPECT_EQ(*parse_size("64M"), 64u << 20);
  EXPECT_EQ(*parse_size("1.5GiB"), 3u << 29);
  EXPECT_EQ(*parse_size("512 kB"), 512u << 10);
  for (const char* bad : {"", "M", "1X", "1MM", "-5", "nan", "1e30"}) EXPECT_FALSE(parse_size(bad)) << bad;
}

}  // namespace
}  // namespace quern
