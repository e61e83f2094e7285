// Fetches the files of a repository into a folder, several connections at a time, and verifies each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "catalogue/repository.h"

namespace quern {

struct DownloadProgress {
  uint64_t done = 0, total = 0;  // bytes, those included that an earlier attempt fetched
  uint64_t verified = 0;         // bytes whose hash was compared
  size_t files_done = 0, files = 0;
};

struct DownloadOptions {
  int connections = 4;
  uint64_t piece_bytes = 64 << 20;                             // that one connection fetches at a time
  std::function<void(const DownloadProgress&)> on_progress;    // five times a second, from the thread that called
  std::function<bool()> cancelled;                             // from any thread
  std::function<Result<void>(const RepositoryFile&)> on_file;  // has its name now; an error ends it all. Never two at a time
};

// Files lie in `folder` under their paths when they are whole and verified; until then see PartFile. After an error what was fetched is kept, and
// the next call goes on from there. Errors: mismatch (hashes, sizes, a server that sends other bytes than it was asked for), denied, not_found,
// io (the network, after several tries; the disk; cancelled).
Result<void> download(const HubAccess& access, const Repository& repository, const std::vector<RepositoryFile>& files,
                      const std::filesystem::path& folder, const DownloadOptions& options);

}  // namespace quern
