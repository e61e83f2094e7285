#include "agent/tools/file_tools.h"

#include <algorithm>
#include <memory>

#include "agent/tools/root_folder.h"
#include "agent/tools/tool_results.h"
#include "base/utf8.h"
#include "text/file_tools.h"

namespace quern {
namespace {

using Mode = RootFolder::Mode;

constexpr size_t kMostVisited = 200'000;  // find_files gives up on larger trees, and says so

ToolResult error(std::string text) { return {std::move(text), true}; }

std::string listing(RootFolder::Listing found) {
  for (std::string& path : found.paths) path = printable_name(path);
  std::string text = file_tools::listing(found.paths);
  if (!found.complete) text += fmt::format("\n(only the first {} are listed)", found.paths.size());
  return text;
}

// One call: the tool's arguments as the folder wants them. Arguments passed check_arguments: they are strings and they are there.
class Call {
 public:
  Call(RootFolder& root, const Json& arguments, Mode mode) : root_(root), arguments_(arguments), mode_(mode) {}

  ToolResult list() {
    const auto folder = path("folder");
    if (!folder) return tool_error(folder.error());
    auto found = root_.list(*folder, kMostListed);
    return found ? tool_done(listing(std::move(*found))) : tool_error(found.error(), /*folder_wanted=*/true);
  }

  ToolResult find() {
    const std::string& pattern = text("pattern");
    RootFolder::Listing found =
        root_.find([&](std::string_view name) { return file_tools::glob_matches(pattern, name); }, kMostListed, kMostVisited);
    return tool_done(found.paths.empty() && found.complete ? file_tools::no_matches(pattern) : listing(std::move(found)));
  }

  ToolResult read() {
    const auto path = this->path("path");
    if (!path) return tool_error(path.error());
    auto content = root_.read(*path, kMostReadBytes);
    if (!content) return tool_error(content.error());
    if (content->bytes.empty()) return tool_done(file_tools::empty_file(*path));
    const bool cut = content->size > content->bytes.size();
    if (cut) content->bytes.resize(complete_utf8_prefix(content->bytes));
    const size_t wrong = std::min(find_invalid_utf8(content->bytes), content->bytes.find('\0'));
    if (wrong != std::string::npos) return error(fmt::format("error: not a text file: {} (byte {})", *path, wrong));
    if (cut) content->bytes += fmt::format("\n(only the first {} of {} bytes are shown)", content->bytes.size(), content->size);
    return tool_done(std::move(content->bytes));
  }

  ToolResult write() {
    const auto characters = [](std::string_view s) {
      return static_cast<size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
    };
    return on_path([&](const std::string& path) { return root_.write(path, text("text"), mode_); },
                   [&](const std::string& path) { return file_tools::wrote(path, characters(text("text"))); });
  }
  ToolResult append() {
    return on_path([&](const std::string& path) { return root_.append_line(path, text("text"), mode_); }, file_tools::appended);
  }
  ToolResult make() {
    return on_path([&](const std::string& path) { return root_.make_folder(path, mode_); }, file_tools::made_folder);
  }
  ToolResult remove() {
    return on_path([&](const std::string& path) { return root_.remove(path, mode_); }, file_tools::deleted);
  }
  ToolResult move() {
    return transfer([&](const std::string& from, const std::string& to) { return root_.move(from, to, mode_); }, file_tools::moved);
  }
  ToolResult copy() {
    return transfer([&](const std::string& from, const std::string& to) { return root_.copy(from, to, mode_); },
                    file_tools::copied);
  }

 private:
  const std::string& text(std::string_view name) const { return arguments_.find(name)->as_string(); }
  RootFolder::Outcome<std::string> path(std::string_view name) const { return RootFolder::normal(text(name)); }

  template <class Act, class Say>
  ToolResult on_path(const Act& act, const Say& say) const {
    const auto path = this->path("path");
    if (!path) return tool_error(path.error());
    const auto outcome = act(*path);
    return outcome ? tool_done(say(*path)) : tool_error(outcome.error());
  }

  template <class Act, class Say>
  ToolResult transfer(const Act& act, const Say& say) const {
    const auto from = path("from"), to = path("to");
    for (const auto* one : {&from, &to})
      if (!*one) return tool_error(one->error());
    const auto outcome = act(*from, *to);
    return outcome ? tool_done(say(*from, *to)) : tool_error(outcome.error());
  }

  RootFolder& root_;
  const Json& arguments_;
  Mode mode_;
};

using Action = ToolResult (Call::*)();
constexpr std::pair<std::string_view, Action> kActions[] = {
    {"list_files", &Call::list},  {"find_files", &Call::find},    {"read_file", &Call::read},
    {"write_file", &Call::write}, {"append_file", &Call::append}, {"move_file", &Call::move},
    {"copy_file", &Call::copy},   {"make_folder", &Call::make},   {"delete_file", &Call::remove},
};

}  // namespace

Result<void> add_file_tools(ToolRegistry& registry, const std::filesystem::path& root) {
  QUERN_ASSIGN(RootFolder opened, RootFolder::open(root));
  const auto folder = std::make_shared<RootFolder>(std::move(opened));
  for (Json& definition : file_tools::definitions()) {
    Tool tool;
    tool.definition = std::move(definition);
    tool.changes = file_tools::changes_files(tool.name());
    tool.idempotent = tool.name() == "write_file";
    for (const auto& [name, action] : kActions) {
      if (name != tool.name()) continue;
      tool.execute = [folder, act = action](const Json& arguments, const CallContext&) {
        return (Call(*folder, arguments, Mode::act).*act)();
      };
      if (tool.changes)
        tool.preview = [folder, act = action](const Json& arguments, const CallContext&) {
          return (Call(*folder, arguments, Mode::check).*act)();
        };
    }
    QUERN_TRY(registry.add(std::move(tool)));
  }
  return {};
}

}  // namespace quern
