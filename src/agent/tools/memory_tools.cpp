#include "agent/tools/memory_tools.h"

#include <memory>
#include <optional>

#include "agent/tools/memory_store.h"
#include "agent/tools/tool_results.h"

namespace quern {
namespace {

class Shared {
 public:
  explicit Shared(std::filesystem::path file) : file_(std::move(file)) {}
  Result<MemoryStore*> store() {
    if (!store_) {
      QUERN_ASSIGN(MemoryStore opened, MemoryStore::open(file_));
      store_.emplace(std::move(opened));
    }
    return &*store_;
  }

 private:
  std::filesystem::path file_;
  std::optional<MemoryStore> store_;
};

ToolResult remember(Shared& shared, const Json& arguments) {
  const auto store = shared.store();
  if (!store) return tool_error(store.error().message);
  const auto id = (*store)->remember(text_argument(arguments, "text"), text_argument(arguments, "topic"),
                                     integer_argument(arguments, "replaces", 0));
  if (!id) return tool_error(id.error().message);
  return tool_done(fmt::format("remembered as #{}", *id));
}

ToolResult recall(Shared& shared, const Json& arguments) {
  const auto store = shared.store();
  if (!store) return tool_error(store.error().message);
  const std::string query = text_argument(arguments, "query");
  if (query.size() > 2000) return tool_error("the query is longer than 2000 bytes");
  const auto found = (*store)->recall(query, integer_argument(arguments, "most", 10));
  if (!found) return tool_error(found.error().message);
  if (found->empty()) return tool_done(query.empty() ? "nothing is remembered" : "nothing is remembered about that");
  std::string text;
  for (const Memory& one : *found)
    text += fmt::format("#{} ({}{}{}) {}\n", one.id, one.date, one.topic.empty() ? "" : ", ", printable_name(one.topic), one.text);
  text.pop_back();
  return tool_done(std::move(text));
}

}  // namespace

std::vector<Tool> memory_tools(const std::filesystem::path& file) {
  const auto shared = std::make_shared<Shared>(file);
  Tool keep;
  keep.definition = tool_definition("remember", "Keep a fact for later runs.",
                                    R"({"text": {"type": "string", "description": "The fact, understandable by itself"},
          "topic": {"type": "string", "description": "A word or two it is about"},
          "replaces": {"type": "integer", "minimum": 1, "description": "Number of the memory it takes the place of"}})",
                                    1);
  keep.changes = true;
  keep.idempotent = true;  // the same text again is the same memory
  keep.execute = [shared](const Json& arguments, const CallContext&) { return remember(*shared, arguments); };
  keep.preview = [](const Json&, const CallContext&) { return tool_done("would be remembered"); };
  Tool find;
  find.definition = tool_definition("recall", "Look up what earlier runs remembered.",
                                    R"({"query": {"type": "string", "description": "Words to look for; empty: the latest"},
          "most": {"type": "integer", "minimum": 1, "maximum": 50, "description": "How many; absent: 10"}})",
                                    1);
  find.execute = [shared](const Json& arguments, const CallContext&) { return recall(*shared, arguments); };
  std::vector<Tool> tools;
  tools.push_back(std::move(keep));
  tools.push_back(std::move(find));
  return tools;
}

}  // namespace quern
