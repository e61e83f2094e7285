#include "agent/documents/search_index.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "agent/documents/chunks.h"
#include "base/utf8.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

// An index whose schema is not literally this one is of another version, or of somebody else.
constexpr std::string_view kTables[] = {
    "CREATE TABLE files(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, modified INTEGER NOT NULL, "
    "digest TEXT NOT NULL, note TEXT NOT NULL, seen INTEGER NOT NULL)",
    "CREATE TABLE chunks(id INTEGER PRIMARY KEY, file INTEGER NOT NULL, first INTEGER NOT NULL, past INTEGER NOT NULL)",
    "CREATE INDEX chunks_of_file ON chunks(file)",
    "CREATE VIRTUAL TABLE words USING fts5(heading, text, tokenize='porter unicode61 remove_diacritics 2')",
};
constexpr int kVersion = 1;
constexpr int64_t kSameTick = 2'000'000'000;  // ns: a file changed this shortly before it was read may change again unseen
constexpr size_t kMaxWords = 64, kMaxWord = 100;

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Result<void> check_schema(SqlDatabase& database) {
  QUERN_ASSIGN(SqlStatement version, database.prepare("PRAGMA user_version"));
  QUERN_ASSIGN(const bool row, version.step());
  if (!row || version.integer(0) != kVersion) return fail(Errc::malformed, "another version of the index");
  QUERN_ASSIGN(SqlStatement tables,
               database.prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT IN "
                                "('words_data', 'words_idx', 'words_content', 'words_docsize', 'words_config') "
                                "ORDER BY rowid"));
  size_t found = 0;
  for (;;) {
    QUERN_ASSIGN(const bool more, tables.step());
    if (!more) break;
    if (found == std::size(kTables) || tables.text(0) != kTables[found]) return fail(Errc::malformed, "another schema");
    ++found;
  }
  if (found != std::size(kTables)) return fail(Errc::malformed, "another schema");
  QUERN_ASSIGN(SqlStatement check, database.prepare("PRAGMA quick_check(1)"));
  QUERN_ASSIGN(const bool checked, check.step());
  if (!checked || check.text(0) != "ok") return fail(Errc::malformed, "a damaged index");
  return {};
}

void remove_database(const fs::path& path) {
  std::error_code ignored;
  for (const char* more : {"", "-wal", "-shm"}) fs::remove(path.string() + more, ignored);
}

}  // namespace

std::string search_words(std::string_view question) {
  std::string out, word;
  size_t words = 0;
  const auto flush = [&] {
    if (word.empty() || words == kMaxWords) return word.clear();
    out +=
        (out.empty() ? "\"" : " OR \"") + word.substr(0, complete_utf8_prefix(std::string_view(word).substr(0, kMaxWord))) + "\"";
    ++words;
    word.clear();
  };
  for (const char c : replace_invalid_utf8(question)) {
    const auto u = static_cast<unsigned char>(c);
    if (u >= 0x80 || (u >= '0' && u <= '9') || (u >= 'A' && u <= 'Z') || (u >= 'a' && u <= 'z'))
      word += c;
    else
      flush();
  }
  flush();
  return out;
}

Result<SearchIndex> SearchIndex::open_existing(const fs::path& path) {
  QUERN_ASSIGN(SqlDatabase database, SqlDatabase::open(path, SqlDatabase::Mode::create));
  QUERN_TRY(check_schema(database));
  return SearchIndex(std::move(database));
}

Result<SearchIndex> SearchIndex::create(const fs::path& path) {
  QUERN_ASSIGN(SqlDatabase database, SqlDatabase::open(path, SqlDatabase::Mode::create));
  for (const std::string_view table : kTables) QUERN_TRY(database.execute(std::string(table)));
  QUERN_TRY(database.execute(fmt::format("PRAGMA user_version = {}", kVersion)));
  return SearchIndex(std::move(database));
}

Result<SearchIndex> SearchIndex::open(const fs::path& path, const Library& library, const Progress& progress, IndexWork& work) {
  if (path.empty()) {
    QUERN_ASSIGN(SearchIndex index, create(path));
    QUERN_TRY(index.update(library, progress, work));
    return index;
  }
  std::error_code ignored;
  const bool exists = fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
  if (fs::symlink_status(path, ignored).type() == fs::file_type::regular) {
    if (auto index = open_existing(path)) {
      IndexWork tried;
      const auto updated = index->update(library, progress, tried);
      if (updated) {
        work = std::move(tried);
        return index;
      }
      if (updated.error().code == Errc::denied) return tl::unexpected(updated.error());
    }
  }
  work.rebuilt = exists;
  const fs::path temporary = path.string() + fmt::format(".{}.new", ::getpid());
  remove_database(temporary);
  std::vector<std::pair<std::string, size_t>> keys;
  const auto built = [&]() -> Result<void> {
    QUERN_ASSIGN(SearchIndex index, create(temporary));
    QUERN_TRY(index.update(library, progress, work));
    keys = std::move(index.keys_);
    return {};
  }();  // closed again: the whole of it is in one file
  if (!built) {
    remove_database(temporary);
    return tl::unexpected(built.error());
  }
  remove_database(path);  // with its log, which must not be taken for the new file's
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    remove_database(temporary);
    return fail(Errc::io, "{}: cannot be replaced", path.string());
  }
  QUERN_ASSIGN(SearchIndex index, open_existing(path));
  index.keys_ = std::move(keys);
  return index;
}

Result<void> SearchIndex::update(const Library& library, const Progress& progress, IndexWork& work) {
  keys_.clear();
  double total = 0, done = 0;
  for (size_t i = 0; i < library.entries().size(); ++i) {
    keys_.emplace_back(library.entries()[i].key, i);
    total += static_cast<double>(library.entries()[i].size) + 1000;
  }
  std::sort(keys_.begin(), keys_.end());
  QUERN_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database_));
  QUERN_TRY(database_.execute("UPDATE files SET seen = 0 WHERE seen != 0"));
  QUERN_ASSIGN(SqlStatement find, database_.prepare("SELECT id, size, modified, digest, note FROM files WHERE key = ?"));
  QUERN_ASSIGN(SqlStatement see, database_.prepare("UPDATE files SET seen = 1, modified = ?, size = ? WHERE id = ?"));
  QUERN_ASSIGN(SqlStatement drop_words,
               database_.prepare("DELETE FROM words WHERE rowid IN (SELECT id FROM chunks WHERE file = ?)"));
  QUERN_ASSIGN(SqlStatement drop_chunks, database_.prepare("DELETE FROM chunks WHERE file = ?"));
  QUERN_ASSIGN(SqlStatement drop_file, database_.prepare("DELETE FROM files WHERE id = ?"));
  QUERN_ASSIGN(SqlStatement add_file,
               database_.prepare("INSERT INTO files(key, size, modified, digest, note, seen) VALUES(?, ?, ?, ?, ?, 1)"));
  QUERN_ASSIGN(SqlStatement add_chunk, database_.prepare("INSERT INTO chunks(file, first, past) VALUES(?, ?, ?)"));
  QUERN_ASSIGN(SqlStatement add_words, database_.prepare("INSERT INTO words(rowid, heading, text) VALUES(?, ?, ?)"));
  for (const LibraryEntry& entry : library.entries()) {
    if (progress && !progress(done, total)) return fail(Errc::denied, "cancelled");
    done += static_cast<double>(entry.size) + 1000;
    const auto size = static_cast<int64_t>(entry.size);
    find.bind_blob(1, entry.key);
    QUERN_ASSIGN(const bool known, find.step());
    const int64_t id = known ? find.integer(0) : 0;
    const bool same = known && find.integer(1) == size && find.integer(2) == entry.modified_ns;
    const std::string digest(known ? find.text(3) : ""), note(known ? find.text(4) : "");
    find.reset();
    const auto keep = [&](int64_t modified) { return see.bind(1, modified).bind(2, size).bind(3, id).run(); };
    if (same) {
      ++work.unchanged;
      if (!note.empty()) work.notes.push_back(note);
      QUERN_TRY(keep(entry.modified_ns));
      continue;
    }
    const int64_t modified = now_ns() - entry.modified_ns < kSameTick ? 0 : entry.modified_ns;
    ReadFile file = library.read(entry);
    ++work.read;
    if (!file.note.empty()) work.notes.push_back(file.note);
    if (known && !file.digest.empty() && file.digest == digest) {
      QUERN_TRY(keep(modified));
      continue;
    }
    if (known)
      for (SqlStatement* drop : {&drop_words, &drop_chunks, &drop_file}) QUERN_TRY(drop->bind(1, id).run());
    if (file.digest.empty()) continue;
    QUERN_TRY(add_file.bind_blob(1, entry.key).bind(2, size).bind(3, modified).bind(4, file.digest).bind(5, file.note).run());
    if (!file.document) continue;
    ++work.indexed;
    const int64_t added = database_.last_insert_id();
    const std::string& text = file.document->content.text;
    for (const Chunk& chunk : split_into_chunks(text)) {
      QUERN_TRY(add_chunk.bind(1, added).bind(2, static_cast<int64_t>(chunk.begin)).bind(3, static_cast<int64_t>(chunk.end)).run());
      const std::string_view words = std::string_view(text).substr(chunk.begin, chunk.end - chunk.begin);
      QUERN_TRY(add_words.bind(1, database_.last_insert_id()).bind(2, entry.name + " " + chunk.heading).bind(3, words).run());
    }
  }
  QUERN_TRY(remove_absent(work));
  return transaction.commit();
}

Result<void> SearchIndex::remove_absent(IndexWork& work) {
  QUERN_TRY(database_.execute(
      "DELETE FROM words WHERE rowid IN (SELECT c.id FROM chunks c JOIN files f ON f.id = c.file WHERE f.seen = 0)"));
  QUERN_TRY(database_.execute("DELETE FROM chunks WHERE file IN (SELECT id FROM files WHERE seen = 0)"));
  QUERN_TRY(database_.execute("DELETE FROM files WHERE seen = 0"));
  work.removed = static_cast<size_t>(database_.changed_rows());
  return {};
}

Result<std::vector<SearchHit>> SearchIndex::search(std::string_view question, size_t most) const {
  std::vector<SearchHit> hits;
  const std::string words = search_words(question);
  if (words.empty()) return hits;
  QUERN_ASSIGN(SqlStatement find, database_.prepare("SELECT f.key, c.first, c.past FROM words JOIN chunks c ON c.id = words.rowid "
                                                    "JOIN files f ON f.id = c.file WHERE words MATCH ? "
                                                    "ORDER BY bm25(words, 2.0, 1.0), words.rowid LIMIT ?"));
  find.bind(1, words).bind(2, static_cast<int64_t>(most));
  for (;;) {
    QUERN_ASSIGN(const bool more, find.step());
    if (!more) return hits;
    const std::string key(find.text(0));
    const auto at = std::lower_bound(keys_.begin(), keys_.end(), std::pair(key, size_t{0}));
    if (at == keys_.end() || at->first != key || find.integer(1) < 0 || find.integer(2) < find.integer(1)) continue;
    hits.push_back({at->second, static_cast<size_t>(find.integer(1)), static_cast<size_t>(find.integer(2))});
  }
}

}  // namespace quern
