// http and https URLs, strictly: what the client may be asked for, and where a redirect leads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quern {

struct Url {
  std::string scheme;        // "http" or "https"
  std::string host;          // lower case; an IPv6 address without its brackets
  uint16_t port = 0;         // the scheme's own where none was written
  std::string target = "/";  // path and query, ASCII, never empty; a fragment is dropped

  bool is_https() const { return scheme == "https"; }
  std::string authority() const;  // host[:port], as the Host header has it
  std::string origin() const;     // scheme://host[:port]
  std::string to_string() const;  // origin and target
};

// malformed: not an absolute URL, control characters, an impossible port or host; unsupported: another scheme, a user name or password,
// a host name that is not ASCII. Spaces and non-ASCII bytes in the path become %XX.
Result<Url> parse_url(std::string_view text);

// A reference (absolute, //host, /path, path, ?query or #fragment) as seen from `base`: RFC 3986, section 5.
Result<Url> resolve_url(const Url& base, std::string_view reference);

}  // namespace quern
