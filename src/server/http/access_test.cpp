#include "server/http/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"

namespace quern {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kKey = "correct-horse-battery";

TEST(ApiKeys, OneALineWithOrWithoutAName) {
  const auto keys = parse_api_keys("# who may ask\n\n ann:" + kKey + "\r\nsecond-key-without-name\n", "keys");
  ASSERT_TRUE(keys) << keys.error().message;
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ((*keys)[0].name, "ann");
  EXPECT_EQ((*keys)[0].digest, sha256_hex(kKey));
  EXPECT_EQ((*keys)[1].name, "key2");
}

TEST(ApiKeys, ErrorsNameTheLineAndNeverTheKey) {
  const std::string secret = "secret-secret-secret";
  for (const std::string& text : {std::string(), std::string("# nothing\n"), std::string("short"), "a b:" + secret,
                                  "ann:" + secret + " x", "ann:" + secret + "\nann:" + kKey, secret + "\nann:" + secret,
                                  "\xc3\xa9:" + secret, ":" + secret, "ann:" + std::string(600, 's')}) {
    const auto keys = parse_api_keys(text, "keys");
    ASSERT_FALSE(keys) << text;
    EXPECT_EQ(keys.error().code, Errc::malformed);
    EXPECT_THAT(keys.error().message, HasSubstr("keys:"));
    EXPECT_THAT(keys.error().message, Not(HasSubstr("secret-secret")));
  }
}

TEST(ApiKeys, AFileThatOthersCanReadIsWarnedOf) {
  const auto file = std::filesystem::path(::testing::TempDir()) / fmt::format("quern-keys-{}", ::getpid());
  ASSERT_TRUE(write_file(file, kKey));
  std::string warning;
  ::chmod(file.c_str(), 0644);
  EXPECT_TRUE(read_api_keys(file, warning));
  EXPECT_THAT(warning, HasSubstr("chmod 600"));
  warning.clear();
  ::chmod(file.c_str(), 0600);
  EXPECT_TRUE(read_api_keys(file, warning));
  EXPECT_EQ(warning, "");
  std::filesystem::remove(file);
  EXPECT_EQ(read_api_keys(file, warning).error().code, Errc::not_found);
}

TEST(AccessPolicy, HostNames) {
  EXPECT_EQ(host_name("Example.ORG:8080"), "example.org");
  EXPECT_EQ(host_name("example.org."), "example.org");
  EXPECT_EQ(host_name("[::1]:80"), "::1");
  EXPECT_EQ(host_name("::1"), "::1");
  const AccessPolicy local({.hosts = {"localhost", "127.0.0.1", "::1", "Gate.Example"}});
  const AccessPolicy wide({.hosts = {"localhost"}, .any_address = true});
  const auto status = [](const AccessPolicy& policy, std::string_view host) {
    const auto verdict = policy.judge("GET", {}, host, false);
    return verdict.problem ? verdict.problem->status : 200;
  };
  for (const char* good : {"localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", "gate.example", ""})
    EXPECT_EQ(status(local, good), 200) << good;
  for (const char* bad : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.0.1", "[::2]", "0.0.0.0"})
    EXPECT_EQ(status(local, bad), 421) << bad;
  EXPECT_EQ(status(wide, "192.168.0.1:80"), 200);
  EXPECT_EQ(status(wide, "[fe80::1]:80"), 200);
  EXPECT_EQ(status(wide, "evil.example"), 421);
}

TEST(AccessPolicy, KeysByEitherHeader) {
  const AccessPolicy policy({.keys = {{"ann", sha256_hex(kKey)}, {"bob", sha256_hex(kKey + "2")}}, .hosts = {"h"}});
  const auto client = [&](HttpHeaders headers, bool open = false) {
    const auto verdict = policy.judge("POST", headers, "h", open);
    return verdict.problem ? std::to_string(verdict.problem->status) : verdict.client;
  };
  EXPECT_EQ(client({{"Authorization", "Bearer " + kKey}}), "ann");
  EXPECT_EQ(client({{"authorization", "bearer  " + kKey + "2"}}), "bob");
  EXPECT_EQ(client({{"X-Api-Key", kKey}}), "ann");
  EXPECT_EQ(client({{"X-Api-Key", kKey}, {"Authorization", "Basic abc"}}), "ann");
  EXPECT_EQ(client({}), "401");
  EXPECT_EQ(client({{"Authorization", kKey}}), "401");
  EXPECT_EQ(client({{"Authorization", "Bearer"}}), "401");
  EXPECT_EQ(client({{"Authorization", "Bearer " + kKey + "3"}}), "401");
  EXPECT_EQ(client({{"X-Api-Key", ""}}), "401");
  EXPECT_EQ(client({}, true), "");
  EXPECT_EQ(client({{"X-Api-Key", kKey}}, true), "ann");
}

TEST(AccessPolicy, WebPagesOnlyWhereAllowed) {
  const AccessPolicy closed({.hosts = {"localhost"}});
  const AccessPolicy some({.keys = {{"ann", sha256_hex(kKey)}}, .hosts = {"localhost"}, .origins = {"https://App.example/"}});
  const AccessPolicy any({.hosts = {"localhost"}, .origins = {"*"}});
  const auto judge = [](const AccessPolicy& policy, HttpHeaders headers, std::string_view method = "POST") {
    return policy.judge(method, headers, "localhost:80", false);
  };
  const auto header = [](const AccessPolicy::Verdict& verdict, std::string_view name) {
    for (const auto& [key, value] : verdict.headers)
      if (key == name) return value;
    return std::string("-");
  };
  EXPECT_EQ(judge(closed, {{"Origin", "https://evil.example"}}).problem->status, 403);
  EXPECT_EQ(judge(closed, {{"Origin", "null"}}).problem->status, 403);
  EXPECT_EQ(judge(closed, {{"Origin", "https://evil.example"}}, "GET").problem->status, 403);
  EXPECT_FALSE(judge(closed, {{"Origin", "http://localhost:80"}}).problem) << "a page of this server";
  EXPECT_EQ(judge(closed, {{"Origin", "http://localhost:81"}}).problem->status, 403);

  const HttpHeaders question{{"Origin", "https://app.example"},
                             {"Access-Control-Request-Method", "POST"},
                             {"Access-Control-Request-Headers", "x-api-key, content-type\x01"}};
  EXPECT_EQ(judge(closed, question, "OPTIONS").problem->status, 403);
  const auto yes = judge(some, question, "OPTIONS");
  EXPECT_TRUE(yes.preflight);
  EXPECT_FALSE(yes.problem) << "a browser sends no key with it";
  EXPECT_EQ(header(yes, "access-control-allow-origin"), "https://app.example");
  EXPECT_EQ(header(yes, "access-control-allow-headers"), "x-api-key, content-type");
  const auto without_key = judge(some, {{"Origin", "https://app.example"}});
  EXPECT_EQ(without_key.problem->status, 401);
  EXPECT_EQ(header(without_key, "access-control-allow-origin"), "https://app.example") << "the page may read the error";
  EXPECT_EQ(header(judge(any, {{"Origin", "null"}}), "access-control-allow-origin"), "*");
}

}  // namespace
}  // namespace quern
