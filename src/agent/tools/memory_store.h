// What an agent keeps from one run to the next: short texts with a topic, found again by their words (SQLite's FTS5). One file for each
// user; several processes may have it open.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/sqlite.h"

namespace quern {

struct Memory {
  int64_t id = 0;
  std::string date;  // 2026-05-03, UTC
  std::string topic, text;
};

// Not shared between threads.
class MemoryStore {
 public:
  static constexpr size_t kMostText = 4 << 10, kMostTopic = 100;
  static constexpr int64_t kMostMemories = 10'000;

  // Makes the file and its folders. io, malformed (not a database, or another program's).
  static Result<MemoryStore> open(const std::filesystem::path& file);

  // The memory's id; of a text that is there already, that one's. replaces: an id whose memory goes; 0: none. invalid_argument (empty,
  // too long), not_found (replaces), out_of_range (the store is full).
  Result<int64_t> remember(std::string_view text, std::string_view topic, int64_t replaces);
  // The best first; of an empty query the latest first. Any text is a query: words of which some occur.
  Result<std::vector<Memory>> recall(std::string_view query, int64_t most);

 private:
  explicit MemoryStore(SqlDatabase database) : database_(std::move(database)) {}
  SqlDatabase database_;
};

// XDG's place for it: data_home/quern/memory.db, or home/.local/share/quern/memory.db; both may be null. not_found: neither is given.
Result<std::filesystem::path> default_memory_file(const char* data_home, const char* home);

}  // namespace quern
