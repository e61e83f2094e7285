// IP addresses as values, and which of them lie on the public internet: what a tool that was handed a URL by a model may connect to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quern {

struct IpAddress {
  bool v6 = false;
  std::array<uint8_t, 16> bytes{};  // network order; IPv4 uses the first four

  // Textual forms of inet_pton only: no "127.1", no zone.
  static std::optional<IpAddress> parse(std::string_view text);
  std::string to_string() const;
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

// False for whatever is not a globally reachable unicast address: loopback, private, link-local, shared (CGNAT), multicast, reserved,
// documentation and benchmark ranges, cloud metadata services, and IPv6 forms that carry an IPv4 address (mapped, NAT64, 6to4) where
// that address is not public.
bool is_public_address(const IpAddress& address);

}  // namespace quern
