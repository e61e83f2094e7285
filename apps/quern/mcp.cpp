// quern mcp: an MCP server over standard input and output, which offers local models to other agents.
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "agent/mcp/line_reader.h"
#include "agent/mcp/model_tools.h"
#include "agent/mcp/task_tool.h"
#include "catalogue.h"
#include "command.h"
#include "models.h"

extern char** environ;

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxLine = size_t{16} << 20;

struct Options {
  CommonOptions common;
  std::vector<std::string> models;
  std::string models_folder, tasks, root;
  bool yes = false;
};

Result<std::vector<FoundModel>> find_models(const Options& o) {
  std::vector<FoundModel> entries;
  for (const std::string& model : o.models) {
    QUERN_ASSIGN(const fs::path path, named_model(model));
    add_found_model(entries, path);
  }
  if (!o.models_folder.empty()) QUERN_TRY(add_models_of(entries, o.models_folder));
  if (!entries.empty()) return entries;
  if (!o.models_folder.empty()) return fail(Errc::not_found, "{}: no model there", o.models_folder);
  QUERN_ASSIGN(const auto embedded, find_model(""));
  add_found_model(entries, embedded);
  for (const KnownModel& known : known_models()) add_found_model(entries, known.model.path, known.model.name);
  return entries;
}

// What every `quern run` of run_task is told; the model is the first that was found.
std::vector<std::string> run_arguments(const Options& o, const std::string& model) {
  const CommonOptions& c = o.common;
  std::vector<std::string> arguments{"--model", model, "--ops", c.ops, "--kv", c.kv};
  const auto add = [&](const char* flag, const std::string& value) {
    arguments.emplace_back(flag);
    arguments.push_back(value);
  };
  if (c.threads > 0) add("--threads", std::to_string(c.threads));
  if (!c.isa.empty()) add("--isa", c.isa);
  if (c.context > 0) add("--context", std::to_string(c.context));
  if (c.yarn > 0) add("--yarn", fmt::format("{}", c.yarn));
  if (!c.chat_template.empty()) add("--template", c.chat_template);
  if (!o.root.empty()) add("--root", o.root);
  if (o.yes) arguments.emplace_back("--yes");
  return arguments;
}

void warn(const std::string& line) { fmt::print(stderr, "quern: warning: {}\n", line); }

Result<ServiceTool> make_task_tool(const Options& o, const std::string& model) {
  std::error_code error;
  TaskToolOptions options;
  options.folder = fs::canonical(o.tasks, error);
  if (error) return fail(Errc::not_found, "{}: {}", o.tasks, error.message());
  options.program = fs::read_symlink("/proc/self/exe", error);
  if (error) return fail(Errc::io, "/proc/self/exe: {}", error.message());
  options.arguments = run_arguments(o, model);
  for (char** entry = environ; entry && *entry; ++entry) options.environment.emplace_back(*entry);
  return task_tool(options, warn);
}

// Until the end of the input, or of whoever reads the output.
void serve(McpService& service, const std::atomic<bool>& broken) {
  LineReader lines(kMaxLine);
  char buffer[16 << 10];
  while (!broken) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, 200) <= 0) continue;
    const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return service.finish();
    lines.feed(
        {buffer, static_cast<size_t>(got)}, [&](std::string_view line) { service.take(line); },
        [&] { service.refuse_line(fmt::format("a message of more than {} bytes", kMaxLine)); });
  }
}

Result<int> mcp(const Options& o) {
  QUERN_ASSIGN(const auto found, find_models(o));
  std::vector<ShelfModel> entries;
  for (const FoundModel& model : found) entries.push_back({model.name, model.path.string()});
  if (::isatty(STDIN_FILENO) == 1)
    fmt::print(stderr, "quern mcp: waiting for an MCP client on standard input; see `quern mcp --help`\n");
  ModelShelf shelf(entries, [&](const ShelfModel& entry) -> Result<std::unique_ptr<TextModel>> {
    QUERN_ASSIGN(const EngineOptions engine, o.common.engine_for(entry.path));
    return open_text_model(engine);
  });
  std::atomic<bool> broken = false;
  McpService::Options options;
  options.version = QUERN_VERSION;
  options.instructions = "Language models that run on this machine. Calls are carried out one after the other.";
  options.tools = model_tools(shelf);
  if (!o.tasks.empty()) {
    QUERN_ASSIGN(auto tool, make_task_tool(o, entries.front().path));
    options.tools.push_back(std::move(tool));
  }
  options.resources = {models_resource(shelf)};
  options.write = [&](std::string_view line) {
    if (!broken && !print_out(line)) broken = true;
  };
  McpService service(std::move(options));
  serve(service, broken);
  return kSuccess;
}

}  // namespace

void add_mcp_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "mcp", "Offer local models to other agents (MCP server)");
  command->footer(
      "Examples, as an agent's configuration has them:\n"
      "  {\"mcpServers\": {\"quern\": {\"command\": \"quern\", \"args\": [\"mcp\"]}}}\n"
      "  {\"mcpServers\": {\"quern\": {\"command\": \"quern\", \"args\": [\"mcp\", \"--models\", \"/data/models\", \"--tasks\", "
      "\"/home/ann/tasks\"]}}}\n\n"
      "Speaks the Model Context Protocol on standard input and output: tools generate, ask_with_schema, count_tokens, list_models and,\n"
      "with --tasks, run_task. A model is loaded when it is first asked for; one at a time stays loaded. docs/mcp.md has the rest, and how\n"
      "quern itself uses the MCP servers of others.");
  command
      ->add_option(
          "--model,-m", o->models,
          "Model folder, .gguf file, or a name that quern list shows; may be given again. The first is used where none is named")
      ->allow_extra_args(false)
      ->group("Model");
  command->add_option("--models", o->models_folder, "A folder of models: its folders with a config.json, and .gguf files")
      ->type_name("DIR")
      ->group("Model");
  command->add_option("--tasks", o->tasks, "A folder of task files that callers may run by name")->type_name("DIR");
  command->add_option("--root", o->root, "Where tasks work; absent: each in its own root:, or in a fresh temporary folder")
      ->type_name("DIR");
  command->add_flag("--yes,-y", o->yes, "Tasks may change files; absent: what would ask first is refused");
  o->common.add_engine_to(*command, "bf16");
  command->callback([o, &body] { body = [o] { return mcp(*o); }; });
}

}  // namespace quern
