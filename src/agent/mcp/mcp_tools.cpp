#include "agent/mcp/mcp_tools.h"

#include <algorithm>

#include "agent/mcp/content.h"
#include "base/digest.h"

namespace quern {
namespace {

constexpr size_t kMaxToolName = 64;

using ServerPointer = std::shared_ptr<McpClient>;

// A name that the formats can spell and that no other tool has; long ones end in a part of their hash.
std::string tool_name(const std::string& server, const std::string& tool, const std::vector<std::string>& taken) {
  std::string name = server + "__";
  for (const char c : tool) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    name += kept ? c : '_';
  }
  if (name.size() > kMaxToolName) name = name.substr(0, kMaxToolName - 9) + "_" + sha256_hex(tool).substr(0, 8);
  const std::string stem = name.substr(0, kMaxToolName - 4);
  for (int number = 2; std::find(taken.begin(), taken.end(), name) != taken.end(); ++number)
    name = fmt::format("{}_{}", stem, number);
  return name;
}

Json definition(const std::string& name, const std::string& description, Json parameters) {
  Json function = json_object({{"name", name}, {"description", description}});
  function["parameters"] = std::move(parameters);
  return json_object({{"type", "function"}, {"function", std::move(function)}});
}

Json object_schema(std::initializer_list<std::pair<std::string_view, Json>> properties, std::vector<Json> required) {
  return json_object({{"type", "object"},
                      {"properties", json_object(properties)},
                      {"required", Json(std::move(required))},
                      {"additionalProperties", false}});
}

Json string_schema(std::string_view description) { return json_object({{"type", "string"}, {"description", description}}); }

// What check_arguments and the constraint need to be told: MCP says that arguments are an object, a schema need not.
Json parameters_of(const McpToolInfo& info) {
  Json schema = info.input_schema;
  if (!schema.find("type")) schema["type"] = "object";
  return schema;
}

ToolResult error_result(const McpClient& server, const Error& error) {
  return {fmt::format("error: the server {}: {}", server.config().name, error.message), true};
}

Tool tool_of(const ServerPointer& server, const McpToolInfo& info, const std::string& name) {
  const bool trusted = server->config().trusted;
  Tool tool;
  tool.definition = definition(name, info.description, parameters_of(info));
  tool.origin = server->config().name;
  tool.changes = !(trusted && info.read_only);
  tool.idempotent = trusted && info.idempotent;
  tool.execute = [server, info](const Json& arguments, const CallContext& context) {
    return server->call_tool(info, arguments, context);
  };
  tool.preview = [server](const Json&, const CallContext&) {
    return ToolResult{fmt::format("nothing was done: in a dry run the server {} is not asked", server->config().name)};
  };
  return tool;
}

// One line for each resource or prompt of a list.
std::string listed(const std::vector<Json>& items) {
  std::string text;
  for (const Json& item : items) {
    std::string line;
    for (const char* key : {"uri", "uriTemplate", "name", "description"})
      if (const std::string value = string_member(item, key); !value.empty()) line += (line.empty() ? "" : "  ") + mcp_line(value);
    if (const Json* arguments = item.find("arguments"); arguments && arguments->is_array())
      for (const Json& argument : arguments->as_array())
        line += fmt::format("  [{}{}]", mcp_line(string_member(argument, "name"), 100),
                            bool_member(argument, "required", false) ? "" : "?");
    text += line + "\n";
    if (text.size() > kMaxMcpText) break;
  }
  return text.empty() ? "(none)" : text;
}

void add_resource_tools(const ServerPointer& server, std::vector<Tool>& tools) {
  const std::string& name = server->config().name;
  Tool list;
  list.definition =
      definition(name + "__list_resources", fmt::format("Lists what {} offers to read.", name), object_schema({}, {}));
  list.execute = [server](const Json&, const CallContext& context) -> ToolResult {
    const auto resources = server->list_resources(context);
    return resources ? ToolResult{listed(*resources)} : error_result(*server, resources.error());
  };
  Tool read;
  read.definition = definition(name + "__read_resource", fmt::format("Reads one of the resources of {}.", name),
                               object_schema({{"uri", string_schema("As list_resources names it")}}, {"uri"}));
  read.execute = [server](const Json& arguments, const CallContext& context) -> ToolResult {
    const auto resource = server->read_resource(string_member(arguments, "uri"), context);
    return resource ? text_of_resource(*resource) : error_result(*server, resource.error());
  };
  tools.push_back(std::move(list));
  tools.push_back(std::move(read));
}

void add_prompt_tools(const ServerPointer& server, std::vector<Tool>& tools) {
  const std::string& name = server->config().name;
  Tool list;
  list.definition = definition(name + "__list_prompts", fmt::format("Lists the prompts of {} and their [arguments].", name),
                               object_schema({}, {}));
  list.execute = [server](const Json&, const CallContext& context) -> ToolResult {
    const auto prompts = server->list_prompts(context);
    return prompts ? ToolResult{listed(*prompts)} : error_result(*server, prompts.error());
  };
  Tool get;
  const Json values = json_object({{"type", "object"}, {"additionalProperties", json_object({{"type", "string"}})}});
  get.definition =
      definition(name + "__get_prompt", fmt::format("Returns the text of one of the prompts of {}.", name),
                 object_schema({{"name", string_schema("As list_prompts names it")}, {"arguments", values}}, {"name"}));
  get.execute = [server](const Json& arguments, const CallContext& context) -> ToolResult {
    const Json* given = arguments.find("arguments");
    const auto prompt = server->get_prompt(string_member(arguments, "name"), given ? *given : Json::object(), context);
    return prompt ? text_of_prompt(*prompt) : error_result(*server, prompt.error());
  };
  tools.push_back(std::move(list));
  tools.push_back(std::move(get));
}

bool is_wanted(const McpServerConfig& config, const std::string& tool) {
  return !config.tools || std::find(config.tools->begin(), config.tools->end(), tool) != config.tools->end();
}

// The tools of one server as a model of that format can call them.
Result<std::vector<Tool>> tools_of(const ServerPointer& server, CallFormat format, const CallContext& context) {
  QUERN_ASSIGN(const auto infos, server->list_tools(context));
  const McpServerConfig& config = server->config();
  std::vector<Tool> tools;
  if (server->has("resources") && config.resources) add_resource_tools(server, tools);
  if (server->has("prompts") && config.prompts) add_prompt_tools(server, tools);
  for (Tool& tool : tools) tool.origin = config.name;
  std::vector<std::string> names;
  for (const Tool& tool : tools) names.emplace_back(tool.name());
  for (const McpToolInfo& info : infos) {
    if (!is_wanted(config, info.name)) continue;
    Tool tool = tool_of(server, info, tool_name(config.name, info.name, names));
    if (const auto machine = compile_turn({.tools = {tool.definition}, .format = format}); !machine) {
      server->warn(fmt::format("the tool is left out: {}", mcp_line(machine.error().message)));
      continue;
    }
    names.emplace_back(tool.name());
    tools.push_back(std::move(tool));
  }
  if (config.tools)
    for (const std::string& name : *config.tools)
      if (std::none_of(infos.begin(), infos.end(), [&](const McpToolInfo& info) { return info.name == name; }))
        server->warn(fmt::format("it has no tool called {}", mcp_line(name, 100)));
  return tools;
}

Result<void> add_tools(ToolRegistry& registry, const ServerPointer& server, CallFormat format, const CallContext& context) {
  auto tools = tools_of(server, format, context);
  if (!tools) return with_context(tools.error(), fmt::format("MCP server {}", server->config().name));
  for (Tool& tool : *tools) QUERN_TRY(registry.add(std::move(tool)));
  return {};
}

}  // namespace

Result<std::shared_ptr<McpClient>> add_mcp_tools(ToolRegistry& registry, const McpServerConfig& config,
                                                 const McpToolsOptions& options, const CallContext& context) {
  QUERN_ASSIGN(auto server, McpClient::start(config, options, context));
  QUERN_TRY(add_tools(registry, server, options.format, context));
  return server;
}

Result<McpClients> McpClients::start(ToolRegistry& registry, const std::vector<McpServerConfig>& configs,
                                     const McpToolsOptions& options, const CallContext& context) {
  McpClients all;
  all.options_ = options;
  for (const McpServerConfig& config : configs) {
    for (const Entry& other : all.entries_)
      if (other.server->config().name == config.name)
        return fail(Errc::invalid_argument, "MCP server {}: there is another of that name", config.name);
    QUERN_ASSIGN(auto server, McpClient::start(config, options, context));
    const int64_t generation = server->generation();  // before they are listed: what changes meanwhile is seen by refresh()
    QUERN_TRY(add_tools(registry, server, options.format, context));
    all.entries_.push_back({std::move(server), generation});
  }
  return all;
}

bool McpClients::refresh(ToolRegistry& registry, const CallContext& context) {
  bool changed = false;
  for (Entry& entry : entries_) {
    const int64_t generation = entry.server->generation();
    if (generation == entry.generation) continue;
    entry.generation = generation;
    auto tools = tools_of(entry.server, options_.format, context);
    auto replaced = tools ? registry.replace(entry.server->config().name, std::move(*tools)) : tl::unexpected(tools.error());
    if (replaced)
      changed = changed || *replaced;
    else
      entry.server->warn(fmt::format("its tools stay as they were: {}", replaced.error().message));
  }
  return changed;
}

}  // namespace quern
