#include "catalogue/content_hash.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/digest.h"

namespace quern {

const std::string& hash_at_hub(const RepositoryFile& file) { return file.sha256.empty() ? file.git_sha1 : file.sha256; }

const char* hash_name(const RepositoryFile& file) { return file.sha256.empty() ? "git hash" : "SHA-256"; }

Result<std::string> content_hash(int fd, const std::filesystem::path& path, const RepositoryFile& file,
                                 const std::function<bool(uint64_t)>& on_bytes) {
  Digest digest(file.sha256.empty() ? Digest::Kind::sha1 : Digest::Kind::sha256);
  if (file.sha256.empty()) digest.add(fmt::format("blob {}", file.size) + std::string(1, '\0'));
  std::string buffer(size_t{1} << 20, '\0');
  for (uint64_t at = 0; at < file.size;) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      return fail(Errc::io, "{}: cannot read: {}", path.string(), got < 0 ? std::strerror(errno) : "it is shorter than it was");
    digest.add({buffer.data(), static_cast<size_t>(got)});
    at += static_cast<uint64_t>(got);
    if (!on_bytes(static_cast<uint64_t>(got))) return fail(Errc::io, "{}: interrupted", file.path);
  }
  return digest.hex();
}

}  // namespace quern
