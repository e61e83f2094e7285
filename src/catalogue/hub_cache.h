// The folder in which the hub's own tools keep what they have downloaded. models--ORG--NAME/blobs/HASH holds each content once, under the hash
// by which the hub names it; snapshots/COMMIT/PATH is a link to it, or the file itself where there can be no links. It is theirs: nothing is
// written there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "catalogue/repository.h"

namespace quern {

enum class CacheUse { link, copy };  // a second name for the same bytes, which only the same disk can have; the bytes again

// Makes `target` from the cache, if that has the content; its hash is compared. False: it has not, or that use is not possible. on_bytes: see
// content_hash. io: interrupted; the disk.
Result<bool> take_from_hub_cache(const std::filesystem::path& cache, CacheUse use, const Repository& repository,
                                 const RepositoryFile& file, const std::filesystem::path& target,
                                 const std::function<bool(uint64_t bytes)>& on_bytes);

}  // namespace quern
