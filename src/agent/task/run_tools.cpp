#include "agent/task/run_tools.h"

#include <algorithm>
#include <set>

#include "agent/task/runner.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

// As a path from the task's folder; it has to be there, for a sandbox grants nothing that is not.
Result<fs::path> granted(const std::string& folder, const Task& task, const std::string& what) {
  std::error_code error;
  const fs::path path = fs::canonical(task.folder / folder, error);
  if (error) return fail(Errc::not_found, "{}: {}: {}", what, folder, error.message());
  return path;
}

Result<BuiltinOptions> builtin_options(const Task& task, const RunToolsOptions& options) {
  BuiltinOptions made;
  made.root = options.root;
  made.tools = builtin_tools_of(task);
  made.command.environment = options.command_environment;
  made.command.sandbox.network = task.access.network;
  for (const auto& [folders, into] :
       {std::pair(&task.access.read, &made.command.sandbox.readable), {&task.access.write, &made.command.sandbox.writable}})
    for (const std::string& folder : *folders) {
      QUERN_ASSIGN(fs::path path, granted(folder, task, "access"));
      into->push_back(std::move(path));
    }
  made.http.allowed_hosts = task.access.hosts;
  made.ask = options.ask;
  made.memory = options.memory;
  return made;
}

}  // namespace

std::vector<std::string> builtin_tools_of(const Task& task) {
  std::set<std::string> wanted;
  for (const auto* steps : {&task.steps, &task.on_failure})
    for (const TaskStep& step : *steps) {
      const auto& entries = step.tools ? step.tools : task.tools;
      if (!entries) wanted.insert("files");
      for (const std::string& name : builtin_tool_names())
        if (entries && std::any_of(entries->begin(), entries->end(), [&](const auto& e) { return tool_fits(e, name); }))
          wanted.insert(name);
    }
  return {wanted.begin(), wanted.end()};
}

Result<McpServerConfig> server_config(const TaskServer& server, const Task& task, const fs::path& root) {
  const Scope scope = task.scope_with_secrets();
  const std::string what = "mcp: " + server.name;
  McpServerConfig config;
  config.name = server.name;
  config.trusted = server.trusted;
  config.tools = server.tools;
  for (const auto& [name, text] : server.environment) {
    QUERN_ASSIGN(std::string value, scope.fill(text));
    config.environment.emplace_back(name, std::move(value));
  }
  for (const auto& [name, text] : server.headers) {
    QUERN_ASSIGN(std::string value, scope.fill(text));
    config.headers.add(name, std::move(value));
  }
  if (server.command.empty()) {
    QUERN_ASSIGN(config.url, scope.fill(server.url));
  } else {
    const bool beside = server.command.find('/') != std::string::npos && !server.command.starts_with('/');
    config.command.push_back(beside ? (task.folder / server.command).string() : server.command);
    for (const std::string& argument : server.arguments) {
      QUERN_ASSIGN(std::string filled, scope.fill(argument));
      config.command.push_back(std::move(filled));
    }
    config.folder = root;
    config.sandbox.mode = server.confined ? SandboxPolicy::Mode::required : SandboxPolicy::Mode::none;
    config.sandbox.network = server.network;
    config.sandbox.writable.push_back(root);
    for (const std::string& folder : server.folders) {
      QUERN_ASSIGN(fs::path path, granted(folder, task, what));
      config.sandbox.writable.push_back(std::move(path));
    }
    if (beside) config.sandbox.readable.push_back(task.folder);
  }
  if (const auto fine = check_mcp_config(config); !fine) return with_context(fine.error(), what);
  return config;
}

Result<RunTools> make_run_tools(const Task& task, const RunToolsOptions& options) {
  RunTools tools;
  QUERN_ASSIGN(const BuiltinOptions builtin, builtin_options(task, options));
  if (!builtin.tools.empty()) QUERN_TRY(add_builtin_tools(tools.registry, builtin));
  std::vector<McpServerConfig> servers;
  for (const TaskServer& server : task.mcp) {
    QUERN_ASSIGN(McpServerConfig config, server_config(server, task, options.root));
    servers.push_back(std::move(config));
  }
  servers.insert(servers.end(), options.servers.begin(), options.servers.end());
  if (servers.empty()) return tools;
  McpToolsOptions how;
  how.root = options.root;
  how.environment = options.server_environment;
  how.version = options.version;
  how.on_warning = options.on_warning;
  how.format = options.format;
  const CallContext context{.cancelled = options.cancelled, .on_output = {}};
  QUERN_ASSIGN(McpClients started, McpClients::start(tools.registry, servers, how, context));
  tools.servers.emplace(std::move(started));
  return tools;
}

}  // namespace quern
