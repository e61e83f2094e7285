// SearchIndex: which pieces of which documents speak of what a question asks, by full-text search (SQLite's FTS5, BM25). It is a
// cache: it holds words and places, never what is quoted, which is always read from the files. A file whose size and time are those
// of the index is not read again; one with the same content is not indexed again. An index that is damaged, foreign or of another
// version is built anew.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/documents/library.h"
#include "base/sqlite.h"

namespace quern {

struct SearchHit {
  size_t entry = 0;           // in the library
  size_t begin = 0, end = 0;  // of its text; what a damaged index says may be nonsense: check before use
};

struct IndexWork {
  size_t unchanged = 0, read = 0, indexed = 0, removed = 0;  // files
  bool rebuilt = false;                                      // there was an index of no use
  std::vector<std::string> notes;                            // of the files that were left out, read now or before
};

// One process writes at a time, others wait; not shared between threads.
class SearchIndex {
 public:
  // The index at `path`, brought up to date with the library; an empty path: in memory. A new index appears under its name only
  // when it is complete. Errors: io. progress(done, total) in bytes; false cancels (denied).
  using Progress = std::function<bool(double done, double total)>;
  static Result<SearchIndex> open(const std::filesystem::path& path, const Library& library, const Progress& progress,
                                  IndexWork& work);

  // The pieces that have most of the question's words, best first. Errors: those of a damaged file.
  Result<std::vector<SearchHit>> search(std::string_view question, size_t most) const;

 private:
  explicit SearchIndex(SqlDatabase database) : database_(std::move(database)) {}
  static Result<SearchIndex> open_existing(const std::filesystem::path& path);
  static Result<SearchIndex> create(const std::filesystem::path& path);
  Result<void> update(const Library& library, const Progress& progress, IndexWork& work);
  Result<void> remove_absent(IndexWork& work);

  SqlDatabase database_;
  std::vector<std::pair<std::string, size_t>> keys_;  // sorted: the library's entries
};

// What FTS5 is asked: each word in quotes, so that nothing in a question is syntax; empty: no words.
std::string search_words(std::string_view question);

}  // namespace quern
