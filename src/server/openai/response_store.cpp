#include "server/openai/response_store.h"

#include "base/clock.h"
#include "server/shape.h"

namespace quern {
namespace {

// kept: it can be found; 0: it is only the past of others. bytes: of its parts, as they are counted against the bound.
constexpr SqlContents kContents{.application = 0x51525350,  // "QRSP"
                                .version = 1,
                                .what = "one of answers",
                                .schema = R"(
  CREATE TABLE IF NOT EXISTS response(
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, client TEXT NOT NULL, parent INTEGER REFERENCES response(number),
    kept INTEGER NOT NULL, used REAL NOT NULL, bytes INTEGER NOT NULL);
  CREATE INDEX IF NOT EXISTS response_parent ON response(parent);
  CREATE INDEX IF NOT EXISTS response_used ON response(used);
  CREATE TABLE IF NOT EXISTS part(
    response INTEGER NOT NULL REFERENCES response(number) ON DELETE CASCADE, kind INTEGER NOT NULL, position INTEGER NOT NULL,
    id TEXT NOT NULL, json TEXT NOT NULL, PRIMARY KEY(response, kind, position)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS part_id ON part(id);)"};

// Kinds of parts: items, in their order within a conversation, then the answer as it was given.
constexpr int64_t kInput = 0, kOutput = 1, kAnswer = 2;
constexpr size_t kPartBytes = 256;  // that a part takes besides its text, roughly

constexpr std::string_view kConversation = R"(
  WITH RECURSIVE chain(number, depth) AS (
    SELECT ?1, 0 UNION ALL
    SELECT response.parent, depth + 1 FROM chain JOIN response ON response.number = chain.number WHERE response.parent IS NOT NULL)
  SELECT json FROM chain JOIN part ON part.response = chain.number WHERE kind < 2 ORDER BY depth DESC, kind, position)";

// As deep as a request was allowed to be.
Result<Json> read_json(std::string_view text) { return Json::parse(text, "stored answer", {.max_depth = SIZE_MAX}); }

// With all that it goes on from: more than what is kept of it alone, but without that it is of no use.
size_t bytes_of(const StoredResponse& response) {
  size_t bytes = kPartBytes + response.response.dump(Json::Spacing::compact).size();
  for (const ResponseItems* items : {&response.before, &response.input, &response.output})
    for (const auto& item : *items) bytes += kPartBytes + item->dump(Json::Spacing::compact).size();
  return bytes;
}

}  // namespace

Result<std::unique_ptr<ResponseStore>> ResponseStore::open(const std::filesystem::path& file, Bounds bounds) {
  QUERN_ASSIGN(SqlDatabase database, SqlDatabase::open(file, kContents));
  // Survives whatever ends the process. That a loss of power may take the last few answers is worth it: each would have waited for the disk.
  QUERN_TRY(database.execute("PRAGMA synchronous = NORMAL"));
  return std::unique_ptr<ResponseStore>(new ResponseStore(std::move(database), bounds));
}

Result<int64_t> ResponseStore::bytes() {
  const std::lock_guard lock(mutex_);
  return database_.number("SELECT coalesce(sum(bytes), 0) FROM response");
}

// 0: there is none.
Result<int64_t> ResponseStore::number_of(const std::string& id, const std::string& client) {
  QUERN_ASSIGN(SqlStatement found, database_.prepare("SELECT number FROM response WHERE id = ? AND client = ? AND kept"));
  found.bind(1, id).bind(2, client);
  QUERN_ASSIGN(const bool there, found.step());
  return there ? found.integer(0) : 0;
}

// Of one that is there, which is used by that.
Result<int64_t> ResponseStore::find(const std::string& id, const std::string& client) {
  QUERN_ASSIGN(const int64_t number, number_of(id, client));
  if (number == 0) return fail(Errc::not_found, "{}: no such response", id.substr(0, 80));
  QUERN_ASSIGN(SqlStatement use, database_.prepare("UPDATE response SET used = ? WHERE number = ?"));
  QUERN_TRY(use.bind(1, unix_time()).bind(2, number).run());
  return number;
}

// A response without parts yet. Without an id it cannot be found.
Result<int64_t> ResponseStore::insert(std::string_view id, const std::string& client, int64_t parent) {
  QUERN_ASSIGN(SqlStatement add,
               database_.prepare("INSERT INTO response(id, client, parent, kept, used, bytes) VALUES(?, ?, ?, ?, ?, 0)"));
  id.empty() ? add.bind_null(1) : add.bind(1, id);
  add.bind(2, client);
  parent == 0 ? add.bind_null(3) : add.bind(3, parent);
  QUERN_TRY(add.bind(4, int64_t{!id.empty()}).bind(5, unix_time()).run());
  return database_.last_insert_id();
}

Result<void> ResponseStore::add_part(int64_t number, int64_t kind, int64_t position, const Json& json) {
  const std::string text = json.dump(Json::Spacing::compact);
  QUERN_ASSIGN(SqlStatement add, database_.prepare("INSERT INTO part(response, kind, position, id, json) VALUES(?, ?, ?, ?, ?)"));
  QUERN_TRY(add.bind(1, number).bind(2, kind).bind(3, position).bind(4, text_of(json, "id").value_or("")).bind(5, text).run());
  QUERN_ASSIGN(SqlStatement count, database_.prepare("UPDATE response SET bytes = bytes + ? WHERE number = ?"));
  return count.bind(1, static_cast<int64_t>(kPartBytes + text.size())).bind(2, number).run();
}

Result<void> ResponseStore::add_items(int64_t number, int64_t kind, const ResponseItems& items) {
  for (size_t i = 0; i < items.size(); ++i) QUERN_TRY(add_part(number, kind, static_cast<int64_t>(i), *items[i]));
  return {};
}

Result<void> ResponseStore::put(const std::string& id, const StoredResponse& response) {
  if (bytes_of(response) > bounds_.bytes) return {};
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database_));
  int64_t parent = 0;
  if (!response.previous.empty()) {
    QUERN_ASSIGN(parent, number_of(response.previous, response.client));
  }
  if (parent == 0 && !response.before.empty()) {  // forgotten while this answer was written
    QUERN_ASSIGN(parent, insert("", response.client, 0));
    QUERN_TRY(add_items(parent, kInput, response.before));
  }
  QUERN_ASSIGN(const int64_t number, insert(id, response.client, parent));
  QUERN_TRY(add_items(number, kInput, response.input));
  QUERN_TRY(add_items(number, kOutput, response.output));
  QUERN_TRY(add_part(number, kAnswer, 0, response.response));
  QUERN_TRY(forget_while("used < ?1", unix_time() - bounds_.unused_s));
  QUERN_TRY(forget_while("(SELECT sum(bytes) FROM response) > ?1", static_cast<double>(bounds_.bytes)));
  return transaction.commit();
}

// The longest unused one, and the next, as long as `which` holds.
Result<void> ResponseStore::forget_while(std::string_view which, double bound) {
  for (;;) {
    QUERN_ASSIGN(SqlStatement oldest, database_.prepare(fmt::format(
                                          "SELECT number FROM response WHERE kept AND {} ORDER BY used, number LIMIT 1", which)));
    QUERN_ASSIGN(const bool there, oldest.bind(1, bound).step());
    if (!there) return {};
    const int64_t number = oldest.integer(0);
    oldest.reset();
    QUERN_TRY(forget(number));
  }
}

// It is found no more. With it goes what nobody goes on from now: itself, and what it went on from itself.
Result<void> ResponseStore::forget(int64_t number) {
  QUERN_ASSIGN(
      SqlStatement hide,
      database_.prepare("UPDATE response SET kept = 0, bytes = bytes - coalesce((SELECT ?2 + length(CAST(json AS BLOB)) FROM part "
                        "WHERE response = ?1 AND kind = ?3), 0) WHERE number = ?1"));
  QUERN_TRY(hide.bind(1, number).bind(2, static_cast<int64_t>(kPartBytes)).bind(3, kAnswer).run());
  QUERN_ASSIGN(SqlStatement drop, database_.prepare("DELETE FROM part WHERE response = ? AND kind = ?"));
  QUERN_TRY(drop.bind(1, number).bind(2, kAnswer).run());
  QUERN_ASSIGN(SqlStatement unused,
               database_.prepare("SELECT coalesce(parent, 0) FROM response WHERE number = ?1 AND NOT kept AND NOT EXISTS "
                                 "(SELECT 1 FROM response WHERE parent = ?1)"));
  QUERN_ASSIGN(SqlStatement remove, database_.prepare("DELETE FROM response WHERE number = ?"));
  while (number != 0) {
    QUERN_ASSIGN(const bool gone, unused.bind(1, number).step());
    if (!gone) break;
    const int64_t parent = unused.integer(0);
    unused.reset();
    QUERN_TRY(remove.bind(1, number).run());
    number = parent;
  }
  return {};
}

Result<void> ResponseStore::remove(const std::string& id, const std::string& client) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database_));
  QUERN_ASSIGN(const int64_t number, find(id, client));
  QUERN_TRY(forget(number));
  return transaction.commit();
}

Result<ResponseItems> ResponseStore::items_of(int64_t number, std::string_view sql) {
  QUERN_ASSIGN(SqlStatement rows, database_.prepare(sql));
  rows.bind(1, number);
  ResponseItems items;
  for (;;) {
    QUERN_ASSIGN(const bool more, rows.step());
    if (!more) return items;
    QUERN_ASSIGN(Json item, read_json(rows.text(0)));
    items.push_back(std::make_shared<const Json>(std::move(item)));
  }
}

Result<Json> ResponseStore::response(const std::string& id, const std::string& client) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(const int64_t number, find(id, client));
  QUERN_ASSIGN(const ResponseItems answer, items_of(number, "SELECT json FROM part WHERE response = ? AND kind = 2"));
  if (answer.size() != 1) return fail(Errc::malformed, "stored answer {}: it is not there", id);
  return *answer.front();
}

Result<ResponseItems> ResponseStore::input(const std::string& id, const std::string& client) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(const int64_t number, find(id, client));
  return items_of(number, "SELECT json FROM part WHERE response = ? AND kind = 0 ORDER BY position");
}

Result<ResponseItems> ResponseStore::conversation(const std::string& id, const std::string& client) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(const int64_t number, find(id, client));
  return items_of(number, kConversation);
}

Result<std::shared_ptr<const Json>> ResponseStore::find_item(const std::string& id, const std::string& client) {
  if (id.empty()) return nullptr;
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(
      SqlStatement found,
      database_.prepare("SELECT json FROM part JOIN response ON number = response WHERE part.id = ? AND kind < 2 AND client = ? "
                        "AND kept ORDER BY used DESC, kind DESC LIMIT 1"));
  QUERN_ASSIGN(const bool there, found.bind(1, id).bind(2, client).step());
  if (!there) return nullptr;
  QUERN_ASSIGN(Json item, read_json(found.text(0)));
  return std::make_shared<const Json>(std::move(item));
}

}  // namespace quern
