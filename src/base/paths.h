// Paths, compared as they are written: what links lead to is the caller's to resolve.
#pragma once

#include <algorithm>
#include <filesystem>

namespace quern {

// Whether the path is the folder or beneath it, part by part.
inline bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

}  // namespace quern
