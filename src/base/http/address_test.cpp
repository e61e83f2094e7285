#include "base/http/address.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

bool is_public(std::string_view text) {
  const auto address = IpAddress::parse(text);
  EXPECT_TRUE(address) << text;
  return address && is_public_address(*address);
}

TEST(IpAddress, ReadsAndWritesBothFamiliesStrictly) {
  EXPECT_EQ(IpAddress::parse("127.0.0.1")->to_string(), "127.0.0.1");
  EXPECT_EQ(IpAddress::parse("2001:DB8:0:0::1")->to_string(), "2001:db8::1");
  for (const char* bad : {"", "127.1", "0x7f.0.0.1", "2130706433", "1.2.3.4.5", "256.1.1.1", "fe80::1%eth0", "::g", " 1.2.3.4"})
    EXPECT_FALSE(IpAddress::parse(bad)) << bad;
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0x", 9)));
}

TEST(PublicAddress, RefusesWhatIsNotOnTheInternet) {
  for (const char* refused : {"0.0.0.0",
                              "0.1.2.3",
                              "10.0.0.1",
                              "10.255.255.255",
                              "100.64.0.1",
                              "100.127.255.255",
                              "100.100.100.200",
                              "127.0.0.1",
                              "127.255.255.255",
                              "169.254.169.254",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.0.0.1",
                              "192.0.2.1",
                              "192.88.99.1",
                              "192.168.0.1",
                              "198.18.0.1",
                              "198.19.255.255",
                              "198.51.100.1",
                              "203.0.113.1",
                              "224.0.0.1",
                              "239.255.255.255",
                              "240.0.0.1",
                              "255.255.255.255",
                              "168.63.129.16",
                              "::",
                              "::1",
                              "::127.0.0.1",
                              "fe80::1",
                              "fec0::1",
                              "fc00::1",
                              "fd00:ec2::254",
                              "ff02::1",
                              "2001::1",
                              "2001:db8::1",
                              "3fff::1",
                              "100::1",
                              "4000::1",
                              "5f00::1"})
    EXPECT_FALSE(is_public(refused)) << refused;
}

TEST(PublicAddress, AllowsTheRest) {
  for (const char* allowed :
       {"1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1",
        "198.17.0.1", "223.255.255.255", "168.63.129.17", "2001:4860::8888", "2606:4700::1111", "2a00:1450::1"})
    EXPECT_TRUE(is_public(allowed)) << allowed;
}

TEST(PublicAddress, LooksAtTheIPv4AddressInsideIPv6Forms) {
  EXPECT_FALSE(is_public("::ffff:127.0.0.1"));
  EXPECT_FALSE(is_public("::ffff:10.1.2.3"));
  EXPECT_TRUE(is_public("::ffff:1.1.1.1"));
  EXPECT_FALSE(is_public("64:ff9b::169.254.169.254"));
  EXPECT_TRUE(is_public("64:ff9b::1.1.1.1"));
  EXPECT_FALSE(is_public("64:ff9b:1::1.1.1.1"));  // local use: nobody knows where that leads
  EXPECT_FALSE(is_public("2002:7f00:1::"));       // 127.0.0.1
  EXPECT_FALSE(is_public("2002:c0a8:1::1"));      // 192.168.0.1
  EXPECT_TRUE(is_public("2002:101:101::1"));      // 1.1.1.1
}

}  // namespace
}  // namespace quern
