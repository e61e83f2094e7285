#include "serve_options.h"

#include <algorithm>

#include "base/file.h"
#include "server/config.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxConfig = 1 << 20;

CLI::Validator duration() {
  return CLI::Validator(
      [](std::string& text) {
        const auto time = parse_duration(text);
        return time ? std::string() : time.error().message;
      },
      "TIME");
}

CLI::Validator size() {
  return CLI::Validator(
      [](std::string& text) {
        const auto bytes = parse_size(text);
        return bytes ? std::string() : bytes.error().message;
      },
      "SIZE");
}

void add_model_options(CLI::App& command, ServeOptions& o) {
  const std::string group = "Models";
  command
      .add_option(
          "--model,-m", o.models,
          "NAME=PATH: a model folder, .gguf file or name that quern list shows, and what requests call it; may be given again. The first is used where a "
          "request names none. Without a model: pebble")
      ->allow_extra_args(false)
      ->group(group);
  command
      .add_option("--models,--catalogue", o.catalogue,
                  "A folder of models, each under its own name: folders with a config.json, and .gguf files")
      ->type_name("DIR")
      ->group(group);
  command
      .add_option(
          "--memory", o.memory,
          "For the weights and states of all loaded models together; absent: nine tenths of what is free at the start. Models that "
          "nobody uses make room, the longest unused first")
      ->check(size())
      ->group(group);
  command
      .add_flag(
          "--claude-names", o.claude_names,
          "Requests of Anthropic's API for a model whose name begins with claude- and is not there get the first model: such clients "
          "ask for several of them")
      ->group(group);
  command.add_option("--keep", o.keep, "How long a model stays loaded after its last use, where its own entry does not say")
      ->check(duration())
      ->capture_default_str()
      ->group(group);
  o.common.add_engine_to(command, "bf16");
}

void add_generation_options(CLI::App& command, ServeOptions& o) {
  const std::string group = "Generation";
  command.add_option("--max-running", o.max_running, "Generations of a model at the same time; others wait")
      ->check(CLI::Range(int64_t{1}, int64_t{65536}))
      ->capture_default_str()
      ->group(group);
  command.add_option("--max-waiting", o.max_waiting, "Generations of a model that wait; more are refused (429, Retry-After)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str()
      ->group(group);
  command.add_option("--prefill-tokens", o.prefill_tokens, "Tokens of prompts that are read between two tokens of running streams")
      ->check(CLI::Range(int64_t{16}, int64_t{1} << 20))
      ->capture_default_str()
      ->group(group);
  command.add_option("--cache-memory", o.cache_memory, "For states of earlier prompts, of each model, in memory")
      ->check(size())
      ->capture_default_str()
      ->group(group);
  command.add_option("--cache-disk", o.cache_disk, "For such states on disk, of each model, below --data; 0: none")
      ->check(size())
      ->capture_default_str()
      ->group(group);
  command.add_option("--data", o.data, "Where states, sessions and answers are kept; absent: quern/serve in $XDG_DATA_HOME")
      ->type_name("DIR")
      ->group(group);
  command.add_flag("--no-data", o.no_data, "Keep nothing beyond the process")->group(group);
  command
      .add_flag(
          "--keep-volatile-lines", o.keep_volatile,
          "Leave lines of system prompts that change with each request (times, billing headers) where they are; otherwise they go "
          "behind what stays the same, so that it need not be read again")
      ->group(group);
}

void add_network_options(CLI::App& command, ServeOptions& o) {
  const std::string group = "Network";
  command.add_option("--host", o.host, "Name or address to listen on; any but a loopback address needs --api-key-file")
      ->capture_default_str()
      ->group(group);
  command.add_option("--port,-p", o.port, "Port to listen on; 0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--api-key-file", o.api_key_file,
                  "Keys of those who may ask, one a line as NAME:KEY or KEY; requests bring one as `Authorization: Bearer KEY` or "
                  "`x-api-key: KEY`")
      ->type_name("FILE")
      ->group(group);
  command.add_option("--tls-cert", o.tls_cert, "Certificate chain (PEM): speak HTTPS, TLS 1.2 or later")
      ->type_name("FILE")
      ->group(group);
  command.add_option("--tls-key", o.tls_key, "The certificate's private key (PEM)")->type_name("FILE")->group(group);
  command
      .add_option("--allowed-host", o.allowed_hosts,
                  "A name this server is reached by, besides those it listens on; may be given again. Requests for other names are "
                  "refused, since a web page could be behind them")
      ->allow_extra_args(false)
      ->type_name("NAME")
      ->group(group);
  command
      .add_option("--cors", o.cors,
                  "A web page's origin that may use this server, https://example.org, or * for any; may be given again")
      ->allow_extra_args(false)
      ->type_name("ORIGIN")
      ->group(group);
}

// Tools are the page's alone: over the APIs a model's calls are carried out by whoever asked.
void add_page_options(CLI::App& command, ServeOptions& o) {
  const std::string group = "Page";
  command.add_flag("--no-page", o.no_page, "APIs only: no page at /")->group(group);
  command
      .add_option(
          "--tools", o.tools,
          "What models may call when they are asked on the page: files, all, or names with commas between; absent: nothing. "
          "Tools that change something ask there first")
      ->type_name("TOOLS")
      ->group(group);
  command
      .add_option("--mcp", o.mcp,
                  "An MCP server whose tools they may call: NAME=PROGRAM, NAME=URL, or a .json file; may be given again")
      ->type_name("SERVER")
      ->allow_extra_args(false)
      ->group(group);
  command.add_option("--root", o.root, "The folder that tools work in")->type_name("DIR")->capture_default_str()->group(group);
  command.add_option("--tool-host", o.tool_hosts, "A host that the tool http_request may reach; may be given again")
      ->type_name("HOST")
      ->allow_extra_args(false)
      ->group(group);
}

void add_limit_options(CLI::App& command, ServeOptions& o) {
  const std::string group = "Limits";
  const auto bytes = [&](const char* name, std::string& value, const char* help) {
    command.add_option(name, value, help)->check(size())->capture_default_str()->group(group);
  };
  const auto time = [&](const char* name, std::string& value, const char* help) {
    command.add_option(name, value, help)->check(duration())->capture_default_str()->group(group);
  };
  const auto count = [&](const char* name, int64_t& value, int64_t most, const char* help) {
    command.add_option(name, value, help)->check(CLI::Range(int64_t{1}, most))->capture_default_str()->group(group);
  };
  bytes("--max-header", o.max_header, "Of a request's header");
  bytes("--max-body", o.max_body, "Of a request's body");
  bytes("--max-bodies", o.max_bodies, "Of the bodies of all requests at the same time");
  count("--json-depth", o.json_depth, 200, "Of arrays and objects inside one another in a request");
  time("--header-time", o.header_time, "For a request's header to arrive");
  time("--body-time", o.body_time, "For a request's body to arrive");
  time("--idle-time", o.idle_time, "Between two requests of a connection");
  time("--write-time", o.write_time, "For a client to take 64 KiB of an answer; one that is slower is given up");
  time("--request-time", o.request_time, "For a whole request, from its first byte to its answer's last");
  count("--max-requests", o.max_requests, 16384, "Requests that are handled at the same time; more are refused (503, Retry-After)");
  count("--max-connections", o.max_connections, 1 << 20, "Open connections");
  count("--max-per-address", o.max_per_address, 1 << 20, "Open connections of one address");
  time("--grace", o.grace, "For running requests to finish after SIGTERM or SIGINT; then they are cancelled");
}

void add_log_options(CLI::App& command, ServeOptions& o) {
  const std::string group = "Logs";
  command.add_option("--log", o.log, "A line for each request on standard error: logfmt, json or none")
      ->check(CLI::IsMember({"logfmt", "json", "none"}))
      ->capture_default_str()
      ->group(group);
  command.add_flag("--log-prompts", o.log_prompts, "Log the bodies of requests, too")->group(group);
  command.add_option("--trace", o.trace, "Write each request with its answer to a file in this folder, keys removed")
      ->type_name("DIR")
      ->group(group);
}

bool is_path(std::string_view key) {
  static constexpr std::string_view kPaths[] = {"catalogue", "data", "api-key-file", "tls-cert", "tls-key", "trace"};
  return std::find(std::begin(kPaths), std::end(kPaths), key) != std::end(kPaths);
}

// Not what a file can say.
bool is_of_command_line(const CLI::Option& option) {
  return option.check_lname("config") || option.check_lname("print-config") || option.check_lname("help") ||
         option.check_lname("model");
}

std::string key_of(const CLI::Option& option) { return option.get_lnames().empty() ? "" : option.get_lnames().back(); }

bool is_flag(const CLI::Option& option) { return option.get_items_expected_max() == 0; }

Result<void> set_option(CLI::Option& option, const std::vector<std::string>& values) {
  if (is_flag(option) && (values.size() != 1 || (values[0] != "true" && values[0] != "false")))
    return fail(Errc::invalid_argument, "expected true or false");
  if (values.size() != 1 && option.get_items_expected_max() <= 1)
    return fail(Errc::invalid_argument, "expected one value, found {}", values.size());
  if (is_flag(option) && values[0] == "false") return {};
  try {
    for (const std::string& value : values) option.add_result(value);
    option.run_callback();
  } catch (const CLI::Error& e) {
    std::string what = e.what();
    if (const size_t colon = what.find(": "); what.starts_with("--") && colon != std::string::npos) what.erase(0, colon + 2);
    return fail(Errc::invalid_argument, "{}", what);
  }
  return {};
}

// A YAML scalar, in quotes where it would not be read as the text it is.
std::string yaml_text(const std::string& text) {
  const bool plain = !text.empty() && text.find_first_of(":#{}[],&*!|>'\"%@`\\ \t") == std::string::npos && text.front() != '-' &&
                     text.front() != '?' && printable_line(text) == text;
  if (plain) return text;
  std::string quoted;
  append_json_string(quoted, text);
  return quoted;
}

std::string yaml_list(const std::vector<std::string>& values) {
  std::string list;
  for (const std::string& value : values) list += (list.empty() ? "" : ", ") + yaml_text(value);
  return "[" + list + "]";
}

std::string wrapped(const std::string& text) {
  std::string out, line = "#";
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (line.size() + 1 + end - at > 100) {
      out += line + "\n";
      line = "#";
    }
    line += " " + text.substr(at, end - at);
    at = end + 1;
  }
  return out + line + "\n";
}

}  // namespace

void add_serve_options(CLI::App& command, ServeOptions& o) {
  add_network_options(command, o);
  add_page_options(command, o);
  add_model_options(command, o);
  add_generation_options(command, o);
  add_limit_options(command, o);
  add_log_options(command, o);
  command.add_option("--config", o.config, "A YAML file with options by their names without --; the command line goes before it")
      ->type_name("FILE");
  command.add_flag("--print-config", o.print_config, "Print all options as such a file, and end");
}

Result<void> apply_config_file(CLI::App& command, ServeOptions& o) {
  if (o.config.empty()) return {};
  QUERN_ASSIGN(const std::string text, read_file(o.config, kMaxConfig));
  QUERN_ASSIGN(ServerConfig config, parse_server_config(text, o.config));
  std::error_code ignored;
  const fs::path folder = fs::absolute(o.config, ignored).parent_path();
  const auto placed = [&](const std::string& path) {
    return (folder / path).lexically_normal().string();
  };  // an absolute one stays
  for (ServerConfig::Setting& setting : config.settings) {
    CLI::Option* option = command.get_option_no_throw("--" + setting.key);
    if (!option || is_of_command_line(*option) || key_of(*option) != setting.key)
      return fail(Errc::malformed, "{}:{}:{}: {}: unknown option; --print-config lists them", o.config, setting.line,
                  setting.column, setting.key.substr(0, 60));
    if (option->count() > 0) continue;
    if (is_path(setting.key))
      for (std::string& value : setting.values) value = placed(value);
    if (const auto set = set_option(*option, setting.values); !set)
      return fail(Errc::malformed, "{}:{}:{}: {}: {}", o.config, setting.line, setting.column, setting.key, set.error().message);
  }
  for (ModelEntry& entry : config.models) entry.path = placed(entry.path.string());
  o.configured = std::move(config.models);
  return {};
}

std::string config_text(const CLI::App& command, const ServeOptions& o) {
  std::string text = "# Options of `quern serve --config FILE`. What is commented out is not set.\n";
  std::string group;
  for (const CLI::Option* option : command.get_options()) {
    if (is_of_command_line(*option) || key_of(*option).empty()) continue;
    if (option->get_group() != group) {
      group = option->get_group();
      text += fmt::format("\n# == {} ==\n", group);
    }
    text += "\n" + wrapped(option->get_description());
    const std::string key = key_of(*option);
    if (is_flag(*option))
      text += fmt::format("{}: {}\n", key, option->count() > 0 ? "true" : "false");
    else if (option->count() > 0 && option->get_items_expected_max() > 1)
      text += fmt::format("{}: {}\n", key, yaml_list(option->results()));
    else if (option->count() > 0)
      text += fmt::format("{}: {}\n", key, yaml_text(option->results().back()));
    else if (!option->get_default_str().empty())
      text += fmt::format("{}: {}\n", key, yaml_text(option->get_default_str()));
    else
      text += fmt::format("# {}:\n", key);
  }
  text +=
      "\n# == Models by name ==\n\n"
      "# NAME: PATH, or NAME: {path: PATH, aliases: [OTHER, NAMES], pinned: true, keep: 10m}. A pinned model is loaded at the start and never\n"
      "# let go of; keep: how long it stays loaded after its last use. The first is used where a request names none.\n";
  if (o.configured.empty()) return text + "# models:\n";
  text += "models:\n";
  for (const ModelEntry& entry : o.configured) {
    text += fmt::format("  {}:\n    path: {}\n", yaml_text(entry.name), yaml_text(entry.path.string()));
    if (!entry.aliases.empty()) text += fmt::format("    aliases: {}\n", yaml_list(entry.aliases));
    if (entry.pinned) text += "    pinned: true\n";
    if (entry.keep.count() >= 0) text += fmt::format("    keep: {}s\n", entry.keep.count());
  }
  return text;
}

}  // namespace quern
