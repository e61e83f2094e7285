// The hash by which a hub names a file's content: SHA-256 of a large file, otherwise git's, SHA-1 of "blob SIZE\0" and the bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "catalogue/repository.h"

namespace quern {

// What the hub says of the file; empty: it says none.
const std::string& hash_at_hub(const RepositoryFile& file);
const char* hash_name(const RepositoryFile& file);  // in words

// Of file.size bytes behind fd. path: for messages. on_bytes is called now and then with how many were read since; false gives up. io.
Result<std::string> content_hash(int fd, const std::filesystem::path& path, const RepositoryFile& file,
                                 const std::function<bool(uint64_t bytes)>& on_bytes);

}  // namespace quern
