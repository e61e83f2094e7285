#include "base/http/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <span>

namespace quern {
namespace {

struct Range {
  std::array<uint8_t, 16> prefix;
  int bits;
};

bool within(std::span<const uint8_t> bytes, const Range& range) {
  for (int bit = 0; bit < range.bits; bit += 8) {
    const int used = std::min(8, range.bits - bit);
    const auto mask = static_cast<uint8_t>(0xFF << (8 - used));
    if ((bytes[static_cast<size_t>(bit / 8)] & mask) != (range.prefix[static_cast<size_t>(bit / 8)] & mask)) return false;
  }
  return true;
}

template <size_t N>
bool within_any(std::span<const uint8_t> bytes, const std::array<Range, N>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) { return within(bytes, range); });
}

// IANA's special-purpose registry, with multicast and class E; at the end what a provider's machines find their host under.
constexpr auto kPrivateV4 = std::to_array<Range>({
    {{0}, 8},                 // this network
    {{10}, 8},                // private
    {{100, 64}, 10},          // shared by a carrier's customers; a metadata service at 100.100.100.200
    {{127}, 8},               // loopback
    {{169, 254}, 16},         // link-local; metadata services at 169.254.169.254
    {{172, 16}, 12},          // private
    {{192, 0, 0}, 24},        // protocol assignments
    {{192, 0, 2}, 24},        // documentation
    {{192, 88, 99}, 24},      // 6to4 relays
    {{192, 168}, 16},         // private
    {{198, 18}, 15},          // benchmarks
    {{198, 51, 100}, 24},     // documentation
    {{203, 0, 113}, 24},      // documentation
    {{224}, 4},               // multicast
    {{240}, 4},               // reserved, broadcast
    {{168, 63, 129, 16}, 32}  // a public address by number, the host of a virtual machine by use
});

constexpr Range kGlobalUnicastV6{{0x20}, 3};
constexpr auto kPrivateV6 = std::to_array<Range>({
    {{0x20, 0x01, 0x00}, 23},        // protocol assignments, Teredo among them
    {{0x20, 0x01, 0x0D, 0xB8}, 32},  // documentation
    {{0x3F, 0xFF, 0x00}, 20},        // documentation
});

// Where an IPv6 address carries an IPv4 address: that address decides.
constexpr Range kMapped{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 96};
constexpr Range kNat64{{0x00, 0x64, 0xFF, 0x9B}, 96};
constexpr Range k6to4{{0x20, 0x02}, 16};

bool is_public_v4(std::span<const uint8_t> bytes) { return !within_any(bytes, kPrivateV4); }

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string terminated(text);
  if (terminated.size() != std::string_view(terminated.c_str()).size()) return std::nullopt;
  IpAddress address;
  address.v6 = text.find(':') != std::string_view::npos;
  if (::inet_pton(address.v6 ? AF_INET6 : AF_INET, terminated.c_str(), address.bytes.data()) != 1) return std::nullopt;
  return address;
}

std::string IpAddress::to_string() const {
  char buffer[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), buffer, sizeof buffer);
  return buffer;
}

bool is_public_address(const IpAddress& address) {
  const std::span<const uint8_t> bytes(address.bytes);
  if (!address.v6) return is_public_v4(bytes);
  if (within(bytes, kMapped) || within(bytes, kNat64)) return is_public_v4(bytes.subspan(12));
  if (within(bytes, k6to4)) return is_public_v4(bytes.subspan(2));
  return within(bytes, kGlobalUnicastV6) && !within_any(bytes, kPrivateV6);
}

}  // namespace quern
