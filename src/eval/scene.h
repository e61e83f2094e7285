// Scene: where an episode is played. A family of tasks lets the user speak, makes the expert's calls against a mocked service, and lets
// the expert answer; what happens is recorded as a conversation whose every assistant turn is the expected one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "eval/words.h"
#include "text/conversation.h"

namespace quern {

struct ToolEpisode {
  std::string kind;  // the task's name, "sort_by_extension"
  Conversation conversation;  // complete; assistant turns are what the expert does
  int64_t calls = 0;
};

// Executes one call and returns its result text; services keep their state inside.
using Service = std::function<std::string(const ToolCall&)>;

class Scene {
 public:
  Scene(Words vocabulary, std::vector<Json> tools, Service service) : words(vocabulary), tools_(std::move(tools)), service_(std::move(service)) {}

  Words words;

  void system(std::string text) { system_ = std::move(text); }
  void user(std::string text);
  std::string call(std::string_view tool, Json arguments);                   // one turn, one call
  std::vector<std::string> parallel(const std::vector<ToolCall>& calls);     // one turn, several
  void say(std::string text);
  const Conversation& so_far() const { return conversation_; }
  int64_t calls() const { return calls_; }

  ToolEpisode finish(std::string kind) &&;

 private:
  Conversation conversation_;
  std::string system_;
  std::vector<Json> tools_;
  Service service_;
  int64_t calls_ = 0;
};

// {"a": x, "b": y} in this order.
Json arguments(std::initializer_list<std::pair<std::string_view, Json>> members);

// A request as people write it: polite or curt, now and then in lower case, without a full stop, or with a typo outside `keep` words.
std::string spoken(Words& words, std::string request);

}  // namespace quern
