// The page's conversations, in one SQLite file. A conversation is a tree of messages: each answers its parent, siblings are branches.
// May be shared between threads.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/sqlite.h"
#include "text/conversation.h"

namespace quern {

struct PageMessage {
  int64_t id = 0;
  std::optional<int64_t> parent;  // absent: the beginning of the conversation
  Role role = Role::user;         // user or assistant
  double created = 0;             // seconds since 1970; 0: when it is added
  Json parts = Json::array();     // what is shown: see web/src/lib/api.ts, Part
  std::vector<Message> messages;  // what the model is told of it: one of the user's, or an answer with its calls and their results
  std::string model;              // who answered
  Json usage;                     // see api.ts, Usage; null: none
  std::string finish;             // stop, length, context, cancelled, error

  Json to_json() const;  // as the page knows it
};

struct PageConversation {
  int64_t id = 0;
  std::string title;
  double created = 0, updated = 0;
  Json settings = Json::object();
  std::optional<int64_t> leaf;  // the message last looked at
  std::vector<PageMessage> nodes;

  const PageMessage* find(int64_t id) const;
  std::vector<const PageMessage*> path_to(std::optional<int64_t> leaf) const;  // from the beginning to the leaf
  Json info() const;                                                           // without the messages
  Json to_json() const;
};

class PageHistory {
 public:
  static constexpr size_t kMostListed = 500;

  // Makes the file and its folder where they are not there; an empty path: in memory. malformed: another program's database; unsupported:
  // a newer quern's.
  static Result<std::unique_ptr<PageHistory>> open(const std::filesystem::path& file);

  // The last changed first; with a query those whose title or text contains it. Without their messages.
  Result<std::vector<PageConversation>> list(std::string_view query);
  Result<PageConversation> get(int64_t id);  // not_found
  Result<int64_t> create(const Json& settings);
  // Another conversation with everything from the beginning to this message.
  Result<int64_t> fork(int64_t id, int64_t message);
  struct Change {
    std::optional<std::string> title;
    std::optional<Json> settings;
    std::optional<int64_t> leaf;
  };
  Result<void> change(int64_t id, const Change& change);
  Result<void> remove(int64_t id);
  // Adds a message, which becomes the leaf; returns its id. not_found: the conversation, or its parent in it.
  Result<int64_t> add(int64_t conversation, const PageMessage& message);

 private:
  explicit PageHistory(SqlDatabase database) : database_(std::move(database)) {}
  Result<PageConversation> get_locked(int64_t id);
  Result<int64_t> create_locked(const Json& settings, std::string_view title);
  Result<int64_t> add_locked(int64_t conversation, const PageMessage& message);

  std::mutex mutex_;
  SqlDatabase database_;
};

// The conversation as Markdown, along the path to its leaf.
std::string page_markdown(const PageConversation& conversation);

}  // namespace quern
