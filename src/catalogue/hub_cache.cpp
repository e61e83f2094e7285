#include "catalogue/hub_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "catalogue/content_hash.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

// The file behind a name in the cache; empty: none of that size.
fs::path file_behind(const fs::path& name, uint64_t size) {
  std::error_code error;
  const fs::path file = fs::canonical(name, error);
  return !error && fs::is_regular_file(file, error) && fs::file_size(file, error) == size && !error ? file : fs::path();
}

bool place(CacheUse use, const fs::path& file, const fs::path& target) {
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  fs::remove(target, error);
  if (use == CacheUse::link)
    fs::create_hard_link(file, target, error);
  else
    fs::copy_file(file, target, error);
  return !error;
}

Result<bool> is_right(const fs::path& target, const RepositoryFile& file, const std::function<bool(uint64_t)>& on_bytes) {
  const UniqueFd fd(::open(target.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return fail(Errc::io, "{}: cannot open: {}", target.string(), std::strerror(errno));
  QUERN_ASSIGN(const std::string hash, content_hash(fd.get(), target, file, on_bytes));
  if (hash != hash_at_hub(file)) return false;
  if (::fsync(fd.get()) != 0) return fail(Errc::io, "{}: cannot sync: {}", target.string(), std::strerror(errno));
  return true;
}

}  // namespace

Result<bool> take_from_hub_cache(const fs::path& cache, CacheUse use, const Repository& repository, const RepositoryFile& file,
                                 const fs::path& target, const std::function<bool(uint64_t)>& on_bytes) {
  const std::string& hash = hash_at_hub(file);
  if (hash.empty()) return false;
  std::string name = "models--" + repository.id;
  name.replace(name.find('/'), 1, "--");
  for (const fs::path& place_there : {cache / name / "blobs" / hash, cache / name / "snapshots" / repository.commit / file.path}) {
    const fs::path found = file_behind(place_there, file.size);
    if (found.empty() || !place(use, found, target)) continue;
    const auto right = is_right(target, file, on_bytes);
    if (right && *right) return true;
    std::error_code ignored;
    fs::remove(target, ignored);
    if (!right) return right;
  }
  return false;
}

}  // namespace quern
