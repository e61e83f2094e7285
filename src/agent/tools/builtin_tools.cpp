#include "agent/tools/builtin_tools.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "agent/tools/file_tools.h"
#include "agent/tools/grep_tool.h"
#include "agent/tools/memory_tools.h"
#include "agent/tools/query_tool.h"
#include "agent/tools/root_folder.h"
#include "agent/tools/text_tools.h"
#include "text/file_tools.h"

namespace quern {
namespace {

constexpr const char* kOthers[] = {"read_lines",   "edit_file", "grep_files", "query_data", "run_command",
                                   "http_request", "ask_user",  "remember",   "recall"};

constexpr std::pair<std::string_view, Tool (*)(std::shared_ptr<RootFolder>)> kOnTheRoot[] = {{"read_lines", read_lines_tool},
                                                                                             {"edit_file", edit_file_tool},
                                                                                             {"grep_files", grep_files_tool},
                                                                                             {"query_data", query_data_tool}};

std::string_view name_of(const Json& definition) { return definition.find("function")->find("name")->as_string(); }

class Adding {
 public:
  Adding(ToolRegistry& registry, const BuiltinOptions& options) : registry_(registry), options_(options) {}

  Result<void> all() {
    const std::vector<std::string> known = builtin_tool_names();
    for (const std::string& name : options_.tools)
      if (name != "files" && std::find(known.begin(), known.end(), name) == known.end())
        return fail(Errc::not_found, "tools: no built-in tool is called {}; there are files, {}", name, fmt::join(known, ", "));
    QUERN_TRY(file_tools());
    for (const char* name : kOthers)
      if (asked_for(name)) QUERN_TRY(other(name));
    return {};
  }

 private:
  bool asked_for(std::string_view name) const {
    return std::find(options_.tools.begin(), options_.tools.end(), name) != options_.tools.end();
  }

  Result<void> file_tools() {
    const bool nine = options_.tools.empty() || asked_for("files");
    ToolRegistry files;
    QUERN_TRY(add_file_tools(files, options_.root));
    for (const std::string& name : files.names())
      if (nine || asked_for(name)) QUERN_TRY(registry_.add(*files.find(name)));
    return {};
  }

  Result<std::shared_ptr<RootFolder>> root() {
    if (!root_) {
      QUERN_ASSIGN(RootFolder opened, RootFolder::open(options_.root));
      root_ = std::make_shared<RootFolder>(std::move(opened));
    }
    return root_;
  }

  Result<void> other(std::string_view name) {
    for (const auto& [tool, make] : kOnTheRoot) {
      if (name != tool) continue;
      QUERN_ASSIGN(const auto folder, root());
      return registry_.add(make(folder));
    }
    if (name == "ask_user") return registry_.add(ask_user_tool(options_.ask));
    if (name == "run_command") {
      QUERN_ASSIGN(Tool tool, run_command_tool(options_.root, options_.command));
      return registry_.add(std::move(tool));
    }
    if (name == "http_request") {
      QUERN_ASSIGN(Tool tool, http_request_tool(options_.http));
      return registry_.add(std::move(tool));
    }
    if (options_.memory.empty()) return fail(Errc::invalid_argument, "tools: {} needs a file to remember in", name);
    if (memory_.empty()) memory_ = memory_tools(options_.memory);  // both have one store
    for (const Tool& tool : memory_)
      if (tool.name() == name) return registry_.add(tool);
    return {};
  }

  ToolRegistry& registry_;
  const BuiltinOptions& options_;
  std::shared_ptr<RootFolder> root_;
  std::vector<Tool> memory_;
};

}  // namespace

std::vector<std::string> builtin_tool_names() {
  std::vector<std::string> names;
  for (const Json& definition : file_tools::definitions()) names.emplace_back(name_of(definition));
  names.insert(names.end(), std::begin(kOthers), std::end(kOthers));
  return names;
}

Result<void> add_builtin_tools(ToolRegistry& registry, const BuiltinOptions& options) { return Adding(registry, options).all(); }

}  // namespace quern
