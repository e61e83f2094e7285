// The versions of the Model Context Protocol that both sides of quern speak.
#pragma once

#include <algorithm>
#include <iterator>
#include <string_view>

namespace quern {

// The newest first. What quern uses of them is the same in all.
inline constexpr std::string_view kMcpVersions[] = {"2025-06-18", "2025-03-26", "2024-11-05"};

inline bool speaks_mcp_version(std::string_view version) {
  return std::find(std::begin(kMcpVersions), std::end(kMcpVersions), version) != std::end(kMcpVersions);
}
// What a server answers a client that offers `version`: that, or its own newest.
inline std::string_view agreed_mcp_version(std::string_view version) {
  return speaks_mcp_version(version) ? version : kMcpVersions[0];
}

}  // namespace quern
