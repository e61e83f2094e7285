#include "constrain/formats.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace quern {
namespace {

void expect_format(std::string_view name, const std::vector<std::string>& valid, const std::vector<std::string>& invalid) {
  Exprs e;
  const auto language = format_language(e, name);
  ASSERT_TRUE(language) << name;
  EXPECT_TRUE(e.live(*language));
  for (const std::string& text : valid) EXPECT_TRUE(e.matches(*language, text)) << name << " '" << text << "'";
  for (const std::string& text : invalid) EXPECT_FALSE(e.matches(*language, text)) << name << " '" << text << "'";
  EXPECT_FALSE(e.exhausted());
}

TEST(Formats, UnknownNamesAreAnnotationsAndIrregularOnesRefused) {
  Exprs e;
  for (const char* name : {"int32", "password", "", "Date", "uuid4"}) EXPECT_EQ(format_kind(name), FormatKind::annotation) << name;
  for (const char* name : {"regex", "idn-hostname", "idn-email"}) EXPECT_EQ(format_kind(name), FormatKind::refused) << name;
  for (const char* name : {"date", "uri", "hostname"}) EXPECT_EQ(format_kind(name), FormatKind::enforced) << name;
  EXPECT_FALSE(format_language(e, "regex"));
  EXPECT_FALSE(format_language(e, "int32"));
}

TEST(Formats, DatesAreThoseOfTheCalendar) {
  Exprs e;
  const ExprId date = *format_language(e, "date");
  const auto is_leap = [](int y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0; };
  for (const int year : {0, 1, 4, 100, 400, 1582, 1900, 1996, 2000, 2023, 2024, 2100, 2400, 9996, 9999})
    for (int month = 0; month <= 13; ++month)
      for (int day = 0; day <= 32; ++day) {
        constexpr int kDays[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0};
        const int days = kDays[month] + (month == 2 && is_leap(year) ? 1 : 0);
        const std::string text = fmt::format("{:04}-{:02}-{:02}", year, month, day);
        EXPECT_EQ(e.matches(date, text), day >= 1 && day <= days) << text;
      }
  expect_format("date", {}, {"", "20240101", "2024-1-01", "12024-01-01", "2024-01-01\n", "২০২৪-01-01", "2024-01-01T00:00:00Z"});
}

TEST(Formats, LeapSecondsStandAtTheEndOfTheDayInUtcOnly) {
  Exprs e;
  const ExprId time = *format_language(e, "time");
  for (int minute = 0; minute < 24 * 60; minute += 7)
    for (int offset = -(23 * 60 + 59); offset <= 23 * 60 + 59; offset += 13) {
      const int magnitude = offset < 0 ? -offset : offset;
      const std::string text = fmt::format("{:02}:{:02}:60{}{}{:02}:{:02}", minute / 60, minute % 60, minute % 2 ? ".25" : "",
                                           offset < 0 ? '-' : '+', magnitude / 60, magnitude % 60);
      const int utc = ((minute - offset) % 1440 + 1440) % 1440;
      EXPECT_EQ(e.matches(time, text), utc == 1439) << text;
    }
  for (int offset = -1439; offset <= 1439; ++offset) {
    const int local = (1439 + offset + 1440) % 1440, magnitude = offset < 0 ? -offset : offset;
    const std::string text =
        fmt::format("{:02}:{:02}:60{}{:02}:{:02}", local / 60, local % 60, offset < 0 ? '-' : '+', magnitude / 60, magnitude % 60);
    EXPECT_TRUE(e.matches(time, text)) << text;
  }
  expect_format("time", {"23:59:60Z", "23:59:60.5z", "23:59:60-00:00"},
                {"23:59:60", "22:59:60Z", "23:59:61Z", "23:59:60.Z", "24:59:60+01:00"});
}

TEST(Formats, TimesHaveAnOffset) {
  expect_format("time", {"08:30:06Z", "08:30:06.283185z", "23:59:59+23:59", "12:00:00-00:00"},
                {"08:30:06", "8:30:06Z", "24:00:00Z", "08:60:00Z", "08:30:06+24:00", "08:30:06+1:00", "08:30:06.Z", "08:30:06 Z"});
  expect_format("date-time", {"1963-06-19T08:30:06.283185Z", "2024-02-29t00:00:00+05:30", "1998-12-31T15:59:60.123-08:00"},
                {"1963-06-19 08:30:06Z", "1963-06-19T08:30:06", "2023-02-29T00:00:00Z", "1963-06-19", "1963-06-19T08:30:06Z\n"});
}

TEST(Formats, DurationsSkipNoUnit) {
  expect_format("duration", {"P4Y", "P1Y2M3DT4H5M6S", "P2W", "PT36H", "P0D", "P1DT12H", "PT1M2S", "P01D"},
                {"", "P", "PT", "P1", "P1Y2D", "PT1H2S", "P1Y2W", "P2S", "P1YT", "PT0.5S", "-P1D", "P1D "});
}

TEST(Formats, Uuids) {
  expect_format(
      "uuid", {"2eb8aa08-AA98-11ea-b4Aa-73b441d16380", "00000000-0000-0000-0000-000000000000"},
      {"2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4ga-73b441d16380", "{2eb8aa08-aa98-11ea-b4aa-73b441d16380}"});
}

TEST(Formats, InternetAddresses) {
  expect_format("ipv4", {"0.0.0.0", "255.255.255.255", "10.20.30.199"},
                {"256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4/8", "1..3.4"});
  expect_format("ipv6",
                {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::3:4:5:6:7:8", "1:2:3::6:7:8",
                 "::ffff:192.168.0.1", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5::1.2.3.4", "FE80::a"},
                {"", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::3::5", "12345::", "1:2:3:4:5:6:7:8::", "::1.2.3.256",
                 "fe80::a%eth1", "1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:6::1.2.3.4::", "1:", ":1"});
}

TEST(Formats, HostnamesHaveBoundedLabelsAndNoPunycode) {
  const std::string label(63, 'a'), three = label + "." + label + "." + label + ".";
  expect_format(
      "hostname",
      {"a", "www.example.com", "1host", "a--b.com", "h-1.x", label + ".com", three + std::string(61, 'b'), "xn-a", "xnn--a"},
      {"", ".", "a.", ".a", "-a", "a-", "a_b", label + "a", three + std::string(62, 'b'), "xn--9n2bp8q", "a.XN--x", "é.com"});
}

TEST(Formats, MailboxesMayBeQuotedAndLiteral) {
  expect_format("email",
                {"joe.bloggs@example.com", "te~st@example.com", "\"joe bloggs\"@example.com", "\"a\\\"@b\"@x", "a@[127.0.0.1]",
                 "a@[IPv6:::1]", "\"\"@x", std::string(64, 'a') + "@x"},
                {"2962", "@x", "a@", ".a@x", "a.@x", "a..b@x", "a b@x", "a@x=y", "a@[127.0.0.300]", "a@-x", "a@x, b@y", "é@x",
                 std::string(65, 'a') + "@x", "a@[IPv6:1]"});
}

TEST(Formats, UrisAndReferences) {
  expect_format("uri",
                {"http://foo.bar/?baz=qux#quux", "mailto:a@b", "urn:a:b", "http://[2001:db8::7]:80/c", "http://[v1.x:y]",
                 "a:", "a:/", "a://", "http://u:p@h:/%20/'()"},
                {"", "//foo.bar/", "/abc", "abc", "http:// x", "1a:b", "http://h:p/", "http://[::1", "http:/[::1]", "a:%A", "a:%GG",
                 "a:b\\c", "a:é", "a:#b#c", "a:^"});
  expect_format("uri-reference", {"", "a", "a/b:c", "./a:b", "//h", "/a", "?q", "#f", "a:b", "//"},
                {"1:b", "a b", "#a#b", "//h:x", "\\"});
  expect_format("iri", {"http://ƒøø.ßår/?∂éœ=πîx#πîüx", "a:é", "a:?\U000F0000"}, {"é", "/é", "a:\U000F0000", "a:\uFFFF"});
  expect_format("iri-reference", {"é", "//é/é?é#é", "#ƒ"}, {"\\é", "é b"});
}

TEST(Formats, UriTemplates) {
  expect_format("uri-template", {"", "http://x/{a}/{b:1}", "{+a}{#a}{.a}{/a}{;a}{?a,b*}{&a.b}", "a%41", "a'b", "{%41}", "{v:9999}"},
                {"{", "}", "{}", "{a", "{a,}", "{a..b}", "{v:0}", "{v:10000}", "{a=b}", "a b", "%4", "{=a}"});
}

TEST(Formats, JsonPointers) {
  expect_format("json-pointer", {"", "/", "/foo/bar~0/baz~1/%a", "//", "/a b\n", "/🐲"}, {"a", "#", "/~", "/~2", "/a~"});
  expect_format("relative-json-pointer", {"0", "1/a", "120#", "0//"}, {"", "/a", "-1", "01", "1##", "1#/a", "1a", "0/~2"});
}

}  // namespace
}  // namespace quern
