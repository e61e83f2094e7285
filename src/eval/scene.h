// Scene: where an episode is played. A family of tasks lets the user speak, makes the expert's calls against a mocked world, and lets
// the expert answer; what happens is recorded as a conversation whose every assistant turn is the expected one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "eval/words.h"
#include "eval/world.h"

namespace quern {

struct ToolEpisode {
  std::string kind;           // the task's name, "sort_by_extension"
  Conversation conversation;  // complete; assistant turns are what the expert does
  int64_t calls = 0;
  std::shared_ptr<const World> world;  // before the first call
  std::string final_state;             // after the last
  std::vector<std::string> facts;      // what the last answer must contain
};

class Scene {
 public:
  Scene(Random& random, Split split, std::vector<Json> tools, std::unique_ptr<World> world);

  Words words;

  void offer(std::vector<Json> tools) { tools_ = std::move(tools); }
  void system(std::string text) { system_ = std::move(text); }
  void user(std::string text);
  std::string call(std::string_view tool, Json arguments);       // one turn, one call
  std::string call(const ToolCall& one, std::string said = {});  // said: what comes before the call in the same turn
  std::vector<std::string> parallel(const std::vector<ToolCall>& calls, std::string said = {});  // one turn, several
  void say(std::string text, std::vector<std::string> facts = {});  // facts: parts of the text that an answer must have
  const World& world() const { return *world_; }

  ToolEpisode finish(std::string kind) &&;

 private:
  Conversation conversation_;
  std::string system_;
  std::vector<Json> tools_;
  std::unique_ptr<World> start_, world_;
  std::vector<std::string> facts_;
  int64_t calls_ = 0;
};

// One thing to do: how a user asks for it (an imperative sentence without its full stop), the call, and what to say afterwards ("I
// moved a.txt to b.").
struct SceneStep {
  std::string request;
  ToolCall call;
  std::string report;
};

// {"a": x, "b": y} in this order.
Json arguments(std::initializer_list<std::pair<std::string_view, Json>> members);

// A request as people write it: polite or curt, now and then in lower case, without a full stop, or with a typo in a common word.
std::string spoken(Words& words, std::string request);
// Several steps as one request: "First …, then …", numbered, as bullets, or one sentence after the other.
std::string script(Words& words, const std::vector<std::string>& requests);
// Asks for the steps, makes their calls, and says that they are done. Of several, each is said before it is done: the user sees how far
// things are, and a small model that has just written the step chooses its tool by that and not by a place far back in the list.
void play(Scene& scene, const std::vector<SceneStep>& steps);

}  // namespace quern
