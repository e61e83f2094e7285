#include "agent/tools/command_tool.h"

#include <fmt/format.h>

#include <memory>

#include "agent/sandbox/command.h"
#include "agent/tools/tool_results.h"
#include "base/paths.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostCommand = 32 << 10;
constexpr size_t kKeepFirst = 12 << 10, kKeepLast = 20 << 10;  // of the output that the model gets

class CommandTool {
 public:
  CommandTool(fs::path root, CommandToolOptions options) : root_(std::move(root)), options_(std::move(options)) {
    options_.sandbox.writable.push_back(root_);
  }

  ToolResult run(const Json& arguments, const CallContext& context) const {
    CommandOptions command;
    if (auto wrong = prepare(arguments, command)) return std::move(*wrong);
    command.keep_first = kKeepFirst;
    command.keep_last = kKeepLast;
    command.cancelled = context.cancelled;
    command.on_line = context.on_output;
    const auto done = run_command(command);
    if (!done) return tool_error(done.error().message);
    std::string text = done->text();
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    if (done->ended_by_us == "interrupted") return {text + "error: interrupted", true};
    if (!done->ended_by_us.empty()) return {text + fmt::format("error: the command {} and was ended", done->ended_by_us), true};
    if (done->exit_code != 0) return {text + fmt::format("(exit code {})", done->exit_code), true};
    return tool_done(text.empty() ? "(no output)" : std::move(text));
  }

  ToolResult preview(const Json& arguments) const {
    CommandOptions command;
    if (auto wrong = prepare(arguments, command)) return std::move(*wrong);
    return tool_done(fmt::format("would run: {}", command.process.arguments.back()));
  }

 private:
  // An answer when the arguments do not do.
  std::optional<ToolResult> prepare(const Json& arguments, CommandOptions& command) const {
    const std::string text = text_argument(arguments, "command");
    if (text.find_first_not_of(" \t\n") == std::string::npos) return tool_error("the command is empty");
    if (text.size() > kMostCommand) return tool_error(fmt::format("the command is longer than {} bytes", kMostCommand));
    if (text.find('\0') != std::string::npos) return tool_error("a command cannot contain the zero character");
    const auto folder = RootFolder::normal(text_argument(arguments, "folder", "."));
    if (!folder) return tool_error(folder.error());
    std::error_code error;
    const fs::path place = fs::canonical(root_ / *folder, error);
    if (error || !fs::is_directory(place, error)) return tool_error({RootFolder::Problem::not_a_folder, *folder, ""});
    if (!lies_in(place, root_)) return tool_error({RootFolder::Problem::outside, *folder, ""});
    command.process.arguments = {"/bin/sh", "-c", text};
    command.process.folder = place;
    command.process.environment = options_.environment;
    command.process.sandbox = options_.sandbox;
    const double most = options_.sandbox.wall_seconds;
    const double asked = static_cast<double>(integer_argument(arguments, "timeout_s", 0));
    if (asked > 0) command.process.sandbox.wall_seconds = most > 0 ? std::min(asked, most) : asked;
    return std::nullopt;
  }

  fs::path root_;
  CommandToolOptions options_;
};

}  // namespace

Result<Tool> run_command_tool(const fs::path& root, CommandToolOptions options) {
  std::error_code error;
  const fs::path canonical = fs::canonical(root, error);
  if (error) return fail(Errc::not_found, "{}: {}", root.string(), error.message());
  Tool tool;
  tool.definition = tool_definition("run_command",
                                    fmt::format("Run a shell command in the folder, in a sandbox: it can write only there{}.",
                                                options.sandbox.network ? "" : " and has no network"),
                                    R"({"command": {"type": "string", "description": "Command line for /bin/sh"},
          "folder": {"type": "string", "description": "Folder to run it in; absent: the top"},
          "timeout_s": {"type": "integer", "minimum": 1, "maximum": 86400, "description": "Seconds after which it is ended"}})",
                                    1);
  if (options.sandbox.mode == SandboxPolicy::Mode::none)
    tool.definition["function"]["description"] = "Run a shell command in the folder.";
  tool.changes = true;
  const auto command = std::make_shared<const CommandTool>(canonical, std::move(options));
  tool.execute = [command](const Json& arguments, const CallContext& context) { return command->run(arguments, context); };
  tool.preview = [command](const Json& arguments, const CallContext&) { return command->preview(arguments); };
  return tool;
}

}  // namespace quern
