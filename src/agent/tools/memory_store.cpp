#include "agent/tools/memory_store.h"

#include <system_error>

#include "base/utf8.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostWords = 32;

// The words are kept up to date here and not by triggers: a schema is not trusted (base/sqlite.h), so triggers may not touch FTS5.
constexpr SqlContents kContents{.application = 0x514D454D,  // "QMEM"
                                .version = 1,
                                .what = "one of memories",
                                .schema = R"(
  CREATE TABLE IF NOT EXISTS memory(
    id INTEGER PRIMARY KEY AUTOINCREMENT, date TEXT NOT NULL, topic TEXT NOT NULL, text TEXT NOT NULL UNIQUE);
  CREATE VIRTUAL TABLE IF NOT EXISTS memory_words USING fts5(topic, text, tokenize = 'unicode61 remove_diacritics 2');)"};

// FTS5 has a language of its own for queries. Each word in quotes is only a word; a * behind it takes its endings along.
std::string words_of(std::string_view query) {
  std::string expression, word;
  size_t words = 0;
  const auto finish = [&] {
    if (!word.empty() && words < kMostWords) {
      expression += fmt::format("{}\"{}\"*", words == 0 ? "" : " OR ", word);
      ++words;
    }
    word.clear();
  };
  for (const char c : query) {
    const bool part =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
    if (part)
      word += c;
    else
      finish();
  }
  finish();
  return expression;
}

}  // namespace

Result<MemoryStore> MemoryStore::open(const fs::path& file) {
  QUERN_ASSIGN(SqlDatabase database, SqlDatabase::open(file, kContents));
  return MemoryStore(std::move(database));
}

Result<int64_t> MemoryStore::remember(std::string_view text, std::string_view topic, int64_t replaces) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return fail(Errc::invalid_argument, "there is nothing to remember");
  if (text.size() > kMostText) return fail(Errc::invalid_argument, "{} bytes, a memory has at most {}", text.size(), kMostText);
  if (topic.size() > kMostTopic) return fail(Errc::invalid_argument, "topic: {} bytes, at most {}", topic.size(), kMostTopic);
  if (find_invalid_utf8(text) != std::string_view::npos || find_invalid_utf8(topic) != std::string_view::npos)
    return fail(Errc::invalid_argument, "a memory is UTF-8 text");
  QUERN_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database_));
  QUERN_ASSIGN(SqlStatement same, database_.prepare("SELECT id FROM memory WHERE text = ?"));
  QUERN_ASSIGN(const bool there, same.bind(1, text).step());
  int64_t id = there ? same.integer(0) : 0;
  same.reset();
  if (replaces != 0 && replaces != id) {
    QUERN_ASSIGN(SqlStatement remove, database_.prepare("DELETE FROM memory WHERE id = ?"));
    QUERN_TRY(remove.bind(1, replaces).run());
    // With the text there it is gone because the call is being repeated.
    if (database_.changed_rows() == 0 && !there) return fail(Errc::not_found, "there is no memory {} to replace", replaces);
    QUERN_ASSIGN(SqlStatement remove_words, database_.prepare("DELETE FROM memory_words WHERE rowid = ?"));
    QUERN_TRY(remove_words.bind(1, replaces).run());
  }
  if (!there) {
    QUERN_ASSIGN(const int64_t count, database_.number("SELECT count(*) FROM memory"));
    if (count >= kMostMemories) return fail(Errc::out_of_range, "the memory is full ({} entries): replace one", kMostMemories);
    QUERN_ASSIGN(SqlStatement add, database_.prepare("INSERT INTO memory(date, topic, text) VALUES (date('now'), ?, ?)"));
    QUERN_TRY(add.bind(1, topic).bind(2, text).run());
    id = database_.last_insert_id();
    QUERN_ASSIGN(SqlStatement add_words, database_.prepare("INSERT INTO memory_words(rowid, topic, text) VALUES (?, ?, ?)"));
    QUERN_TRY(add_words.bind(1, id).bind(2, topic).bind(3, text).run());
  }
  QUERN_TRY(transaction.commit());
  return id;
}

Result<std::vector<Memory>> MemoryStore::recall(std::string_view query, int64_t most) {
  const std::string words = words_of(replace_invalid_utf8(query));
  const std::string sql = words.empty()
                              ? "SELECT id, date, topic, text FROM memory ORDER BY id DESC LIMIT ?1"
                              : "SELECT m.id, m.date, m.topic, m.text FROM memory_words JOIN memory m ON m.id = memory_words.rowid "
                                "WHERE memory_words MATCH ?2 ORDER BY bm25(memory_words), m.id DESC LIMIT ?1";
  QUERN_ASSIGN(SqlStatement find, database_.prepare(sql));
  find.bind(1, most);
  if (!words.empty()) find.bind(2, words);
  std::vector<Memory> found;
  while (true) {
    QUERN_ASSIGN(const bool row, find.step());
    if (!row) return found;
    found.push_back({find.integer(0), std::string(find.text(1)), std::string(find.text(2)), std::string(find.text(3))});
  }
}

Result<fs::path> default_memory_file(const char* data_home, const char* home) {
  if (data_home && *data_home == '/') return fs::path(data_home) / "quern/memory.db";
  if (home && *home == '/') return fs::path(home) / ".local/share/quern/memory.db";
  return fail(Errc::not_found, "no place for memories: neither $XDG_DATA_HOME nor $HOME is set");
}

}  // namespace quern
