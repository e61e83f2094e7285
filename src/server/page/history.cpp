#include "server/page/history.h"

#include <map>

#include "agent/chat/saved_chat.h"
#include "base/clock.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr SqlContents kContents{.application = 0x51504147,  // "QPAG"
                                .version = 1,
                                .what = "one of conversations",
                                .schema = R"(
  CREATE TABLE IF NOT EXISTS conversation(
    id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL, settings TEXT NOT NULL,
    leaf INTEGER);
  CREATE TABLE IF NOT EXISTS message(
    id INTEGER PRIMARY KEY AUTOINCREMENT, conversation INTEGER NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,
    parent INTEGER, role TEXT NOT NULL, created REAL NOT NULL, parts TEXT NOT NULL,
    messages TEXT NOT NULL, words TEXT NOT NULL, model TEXT NOT NULL, usage TEXT, finish TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS message_of ON message(conversation, id);
  CREATE INDEX IF NOT EXISTS conversation_updated ON conversation(updated);)"};

std::string_view text_of(const Json& part, std::string_view key) {
  const Json* text = part.find(key);
  return text && text->is_string() ? std::string_view(text->as_string()) : std::string_view();
}

// What a search looks at: words, not reasoning, files or results.
std::string words_of(const Json& parts) {
  std::string words;
  for (const Json& part : parts.as_array())
    if (text_of(part, "type") == "text") words += std::string(text_of(part, "text")) + '\n';
  return words;
}

std::string messages_text(const std::vector<Message>& messages) {
  Json all = Json::array();
  for (const Message& message : messages) all.push_back(message_to_json(message));
  return all.dump(Json::Spacing::compact);
}

Result<std::vector<Message>> read_messages(std::string_view text) {
  QUERN_ASSIGN(const Json all, Json::parse(text, "history"));
  if (!all.is_array()) return fail(Errc::malformed, "history: messages: expected an array, found {}", all.kind_name());
  std::vector<Message> messages;
  for (size_t i = 0; i < all.size(); ++i) {
    QUERN_ASSIGN(Message message, message_from_json(all.as_array()[i], fmt::format("messages[{}]", i), "history"));
    messages.push_back(std::move(message));
  }
  return messages;
}

// Columns: id, parent, role, created, parts, messages, model, usage, finish.
Result<PageMessage> read_row(const SqlStatement& row) {
  PageMessage message;
  message.id = row.integer(0);
  if (!row.is_null(1)) message.parent = row.integer(1);
  message.role = row.text(2) == "assistant" ? Role::assistant : Role::user;
  message.created = row.real(3);
  QUERN_ASSIGN(message.parts, Json::parse(row.text(4), "history"));
  if (!message.parts.is_array()) return fail(Errc::malformed, "history: message {}: parts: expected an array", message.id);
  QUERN_ASSIGN(message.messages, read_messages(row.text(5)));
  message.model = row.text(6);
  if (!row.is_null(7)) {
    QUERN_ASSIGN(message.usage, Json::parse(row.text(7), "history"));
  }
  message.finish = row.text(8);
  return message;
}

// The pattern of a LIKE whose escape is '\'.
std::string pattern_of(std::string_view query) {
  std::string pattern = "%";
  for (const char c : query) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + '%';
}

}  // namespace

Json PageMessage::to_json() const {
  Json json = Json::object();
  json["id"] = id;
  json["parent"] = parent ? Json(*parent) : Json();
  json["role"] = role_name(role);
  json["created"] = created;
  json["parts"] = parts;
  if (!model.empty()) json["model"] = model;
  if (!usage.is_null()) json["usage"] = usage;
  if (!finish.empty()) json["finish"] = finish;
  return json;
}

const PageMessage* PageConversation::find(int64_t message) const {
  for (const PageMessage& node : nodes)
    if (node.id == message) return &node;
  return nullptr;
}

std::vector<const PageMessage*> PageConversation::path_to(std::optional<int64_t> from) const {
  std::map<int64_t, const PageMessage*> by_id;
  for (const PageMessage& node : nodes) by_id[node.id] = &node;
  std::vector<const PageMessage*> path;
  while (from && path.size() < nodes.size()) {
    const auto at = by_id.find(*from);
    if (at == by_id.end()) break;
    path.insert(path.begin(), at->second);
    from = at->second->parent;
  }
  return path;
}

Json PageConversation::info() const {
  Json json = Json::object();
  json["id"] = id;
  json["title"] = title;
  json["created"] = created;
  json["updated"] = updated;
  return json;
}

Json PageConversation::to_json() const {
  Json json = info();
  json["settings"] = settings;
  json["leaf"] = leaf ? Json(*leaf) : Json();
  Json& all = json["nodes"] = Json::array();
  for (const PageMessage& node : nodes) all.push_back(node.to_json());
  return json;
}

Result<std::unique_ptr<PageHistory>> PageHistory::open(const fs::path& file) {
  QUERN_ASSIGN(SqlDatabase database, SqlDatabase::open(file, kContents));
  return std::unique_ptr<PageHistory>(new PageHistory(std::move(database)));
}

Result<std::vector<PageConversation>> PageHistory::list(std::string_view query) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(
      SqlStatement rows,
      database_.prepare("SELECT id, title, created, updated FROM conversation c WHERE ?1 = '' OR title LIKE ?2 ESCAPE '\\' OR "
                        "EXISTS (SELECT 1 FROM message m WHERE m.conversation = c.id AND m.words LIKE ?2 ESCAPE '\\') "
                        "ORDER BY updated DESC, id DESC LIMIT ?3"));
  rows.bind(1, query).bind(2, pattern_of(query)).bind(3, static_cast<int64_t>(kMostListed));
  std::vector<PageConversation> all;
  for (;;) {
    QUERN_ASSIGN(const bool more, rows.step());
    if (!more) return all;
    PageConversation one;
    one.id = rows.integer(0);
    one.title = rows.text(1);
    one.created = rows.real(2);
    one.updated = rows.real(3);
    all.push_back(std::move(one));
  }
}

Result<PageConversation> PageHistory::get(int64_t id) {
  const std::lock_guard lock(mutex_);
  return get_locked(id);
}

Result<PageConversation> PageHistory::get_locked(int64_t id) {
  QUERN_ASSIGN(SqlStatement found,
               database_.prepare("SELECT title, created, updated, settings, leaf FROM conversation WHERE id = ?"));
  found.bind(1, id);
  QUERN_ASSIGN(const bool there, found.step());
  if (!there) return fail(Errc::not_found, "conversation {}: there is no such conversation", id);
  PageConversation one;
  one.id = id;
  one.title = found.text(0);
  one.created = found.real(1);
  one.updated = found.real(2);
  QUERN_ASSIGN(one.settings, Json::parse(found.text(3), "history"));
  if (!found.is_null(4)) one.leaf = found.integer(4);
  QUERN_ASSIGN(SqlStatement rows,
               database_.prepare("SELECT id, parent, role, created, parts, messages, model, usage, finish FROM message "
                                 "WHERE conversation = ? ORDER BY id"));
  rows.bind(1, id);
  for (;;) {
    QUERN_ASSIGN(const bool more, rows.step());
    if (!more) return one;
    QUERN_ASSIGN(PageMessage message, read_row(rows));
    one.nodes.push_back(std::move(message));
  }
}

Result<int64_t> PageHistory::create(const Json& settings) {
  const std::lock_guard lock(mutex_);
  return create_locked(settings, "");
}

Result<int64_t> PageHistory::create_locked(const Json& settings, std::string_view title) {
  QUERN_ASSIGN(SqlStatement insert,
               database_.prepare("INSERT INTO conversation(title, created, updated, settings) VALUES(?1, ?2, ?2, ?3)"));
  insert.bind(1, title).bind(2, unix_time()).bind(3, settings.dump(Json::Spacing::compact));
  QUERN_TRY(insert.run());
  return database_.last_insert_id();
}

Result<int64_t> PageHistory::fork(int64_t id, int64_t message) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(const PageConversation from, get_locked(id));
  if (!from.find(message)) return fail(Errc::not_found, "conversation {}: there is no message {}", id, message);
  QUERN_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database_));
  QUERN_ASSIGN(const int64_t copy, create_locked(from.settings, from.title));
  std::optional<int64_t> parent;
  for (const PageMessage* node : from.path_to(message)) {
    PageMessage one = *node;
    one.parent = parent;
    QUERN_ASSIGN(parent, add_locked(copy, one));
  }
  QUERN_TRY(transaction.commit());
  return copy;
}

Result<void> PageHistory::change(int64_t id, const Change& change) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(const PageConversation before, get_locked(id));
  if (change.leaf && !before.find(*change.leaf))
    return fail(Errc::not_found, "conversation {}: there is no message {}", id, *change.leaf);
  QUERN_ASSIGN(SqlStatement update,
               database_.prepare("UPDATE conversation SET title = ?1, settings = ?2, leaf = ?3 WHERE id = ?4"));
  update.bind(1, change.title.value_or(before.title))
      .bind(2, change.settings.value_or(before.settings).dump(Json::Spacing::compact));
  update.bind(3, change.leaf ? change.leaf : before.leaf).bind(4, id);
  return update.run();
}

Result<void> PageHistory::remove(int64_t id) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(SqlStatement gone, database_.prepare("DELETE FROM conversation WHERE id = ?"));
  gone.bind(1, id);
  QUERN_TRY(gone.run());
  if (database_.changed_rows() == 0) return fail(Errc::not_found, "conversation {}: there is no such conversation", id);
  return {};
}

Result<int64_t> PageHistory::add(int64_t conversation, const PageMessage& message) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database_));
  QUERN_ASSIGN(const int64_t id, add_locked(conversation, message));
  QUERN_TRY(transaction.commit());
  return id;
}

Result<int64_t> PageHistory::add_locked(int64_t conversation, const PageMessage& message) {
  QUERN_ASSIGN(SqlStatement fits,
               database_.prepare("SELECT EXISTS (SELECT 1 FROM conversation WHERE id = ?1), ?2 IS NULL OR EXISTS "
                                 "(SELECT 1 FROM message WHERE id = ?2 AND conversation = ?1)"));
  fits.bind(1, conversation).bind(2, message.parent);
  QUERN_TRY(fits.step());
  if (fits.integer(0) == 0) return fail(Errc::not_found, "conversation {}: there is no such conversation", conversation);
  if (fits.integer(1) == 0) return fail(Errc::not_found, "conversation {}: there is no message {}", conversation, *message.parent);
  fits.reset();
  QUERN_ASSIGN(
      SqlStatement insert,
      database_.prepare("INSERT INTO message(conversation, parent, role, created, parts, messages, words, model, usage, finish) "
                        "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.bind(1, conversation).bind(2, message.parent).bind(3, role_name(message.role));
  insert.bind(4, message.created > 0 ? message.created : unix_time()).bind(5, message.parts.dump(Json::Spacing::compact));
  insert.bind(6, messages_text(message.messages)).bind(7, words_of(message.parts)).bind(8, message.model);
  if (message.usage.is_null())
    insert.bind_null(9);
  else
    insert.bind(9, message.usage.dump(Json::Spacing::compact));
  insert.bind(10, message.finish);
  QUERN_TRY(insert.run());
  const int64_t id = database_.last_insert_id();
  QUERN_ASSIGN(SqlStatement update, database_.prepare("UPDATE conversation SET leaf = ?, updated = ? WHERE id = ?"));
  update.bind(1, id).bind(2, unix_time()).bind(3, conversation);
  QUERN_TRY(update.run());
  return id;
}

std::string page_markdown(const PageConversation& conversation) {
  std::vector<Message> all;
  for (const PageMessage* node : conversation.path_to(conversation.leaf))
    all.insert(all.end(), node->messages.begin(), node->messages.end());
  return chat_markdown(all, conversation.title.empty() ? "Conversation" : conversation.title);
}

}  // namespace quern
