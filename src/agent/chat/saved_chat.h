// A chat as a file: what was said, with which model, under which settings. It is written whole or not at all, readable for its owner only,
// and what does not follow the form is refused when it is read: a file may come from anywhere.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "runtime/engine.h"
#include "text/conversation.h"

namespace quern {

// A message to be kept, and back. `where` and `place` open the error: "where: place.role: expected …" (malformed).
Json message_to_json(const Message& message);
Result<Message> message_from_json(const Json& json, const std::string& place, std::string_view where);

struct SavedChat {
  static constexpr int64_t kVersion = 1;
  static constexpr size_t kMostBytes = size_t{64} << 20, kMostMessages = 100000;

  std::string model;  // what it was held with, for people; and for deciding whether a saved state can be of use
  ChatFormat format = ChatFormat::instruct;
  SamplingParams sampling;
  std::vector<Message> messages;

  std::string to_json() const;
  // malformed names the place; unsupported: a newer quern's.
  static Result<SavedChat> from_json(std::string_view text, std::string_view where);
};

// The folder of somebody's saved chats.
class ChatFolder {
 public:
  explicit ChatFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}
  // $XDG_DATA_HOME/quern/chats, or ~/.local/share/quern/chats. The values of the variables, null where unset; not_found: both are.
  static Result<ChatFolder> usual(const char* xdg_data_home, const char* home);

  // Letters, digits, '-', '_' and '.', not at the beginning, 64 at most: never a path to somewhere else. invalid_argument otherwise.
  static Result<void> check_name(std::string_view name);

  Result<void> save(const std::string& name, const SavedChat& chat) const;  // replaces; makes the folder
  Result<SavedChat> load(const std::string& name) const;
  bool has(const std::string& name) const;
  std::vector<std::string> names() const;  // sorted
  // Where the model's state after the chat lies, if it was saved.
  std::filesystem::path state_file(const std::string& name) const { return folder_ / (name + ".state"); }
  std::filesystem::path file(const std::string& name) const { return folder_ / (name + ".json"); }

 private:
  std::filesystem::path folder_;
};

// The chat as a page of Markdown. Text is put in as it is, but a fence around what a tool said is longer than any in it.
std::string chat_markdown(const std::vector<Message>& messages, std::string_view title);

}  // namespace quern
