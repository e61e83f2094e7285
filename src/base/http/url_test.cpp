#include "base/http/url.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

std::string normal(std::string_view text) {
  const auto url = parse_url(text);
  return url ? url->to_string() : url.error().message;
}

TEST(Url, IsReadIntoItsParts) {
  const auto url = parse_url("HTTPS://Example.TEST:8443/a/b?c=d#e");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "example.test");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/a/b?c=d");
  EXPECT_EQ(url->origin(), "https://example.test:8443");
  EXPECT_EQ(parse_url("http://[::1]:99/")->authority(), "[::1]:99");
  EXPECT_EQ(parse_url("http://[0:0::1]")->host, "::1");
}

TEST(Url, HasOneNormalForm) {
  EXPECT_EQ(normal("http://a.test"), "http://a.test/");
  EXPECT_EQ(normal("http://a.test:80/x"), "http://a.test/x");
  EXPECT_EQ(normal("https://a.test:443?q"), "https://a.test/?q");
  EXPECT_EQ(normal("http://a.test/a/../b/./c/.."), "http://a.test/b/");
  EXPECT_EQ(normal("http://a.test/../../x?y=../z"), "http://a.test/x?y=../z");
  EXPECT_EQ(normal("http://a.test/a b/\u00e4?\"q\""), "http://a.test/a%20b/%C3%A4?%22q%22");
  EXPECT_EQ(normal("http://a.test/#x/../y"), "http://a.test/");
  EXPECT_EQ(normal("http://a.test\\@b.test/"), "http://a.test/%5C@b.test/");
}

TEST(Url, RefusesWhatItCannotVouchFor) {
  const auto code = [](std::string_view text) {
    const auto url = parse_url(text);
    EXPECT_FALSE(url) << text;
    return url ? Errc::io : url.error().code;
  };
  for (const char* text : {"", "a.test/x", "/x", "http:/a.test", "http://", "http://:80/", "http://a.test:0/",
                           "http://a.test:65536/", "http://a.test:8x/", "http://[::1/", "http://[1.2.3.4]/", "http://a b/",
                           "http://a.test/\r\nX: y", "http://a%2e.test/", "http://[::1]x/", "http:a.test"})
    EXPECT_EQ(code(text), Errc::malformed) << text;
  for (const char* text : {"ftp://a.test/", "file:///etc/passwd", "http://user:secret@a.test/", "http://\u00e4.test/"})
    EXPECT_EQ(code(text), Errc::unsupported) << text;
  EXPECT_EQ(code("http://a.test/" + std::string(9000, 'x')), Errc::out_of_range);
  EXPECT_EQ(parse_url("http://user:secret@a.test/").error().message.find("secret"), std::string::npos);
}

TEST(Url, ResolvesReferencesAsTheStandardSays) {
  const auto base = parse_url("http://a.test/b/c/d?q");
  ASSERT_TRUE(base);
  const auto seen = [&](std::string_view reference) {
    const auto url = resolve_url(*base, reference);
    return url ? url->to_string() : url.error().message;
  };
  EXPECT_EQ(seen("g"), "http://a.test/b/c/g");
  EXPECT_EQ(seen("./g"), "http://a.test/b/c/g");
  EXPECT_EQ(seen("g/"), "http://a.test/b/c/g/");
  EXPECT_EQ(seen("/g"), "http://a.test/g");
  EXPECT_EQ(seen("//g"), "http://g/");
  EXPECT_EQ(seen("?y"), "http://a.test/b/c/d?y");
  EXPECT_EQ(seen("g?y#s"), "http://a.test/b/c/g?y");
  EXPECT_EQ(seen("#s"), "http://a.test/b/c/d?q");
  EXPECT_EQ(seen(""), "http://a.test/b/c/d?q");
  EXPECT_EQ(seen(".."), "http://a.test/b/");
  EXPECT_EQ(seen("../g"), "http://a.test/b/g");
  EXPECT_EQ(seen("../../../g"), "http://a.test/g");
  EXPECT_EQ(seen("g;x=1/../y"), "http://a.test/b/c/y");
  EXPECT_EQ(seen("https://h.test/x"), "https://h.test/x");
  EXPECT_FALSE(resolve_url(*base, "file:///etc/passwd"));
  EXPECT_FALSE(resolve_url(*base, "javascript:alert(1)"));
}

}  // namespace
}  // namespace quern
