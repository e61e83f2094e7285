// The options of `quern serve`: from the command line, then from the configuration file what the command line left open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "command.h"
#include "server/models.h"

namespace quern {

struct ServeOptions {
  CommonOptions common;
  std::vector<std::string> models;  // NAME=PATH, or PATH
  std::string catalogue;
  std::vector<ModelEntry> configured;  // of the configuration file
  std::string memory, keep = "forever", cache_memory = "2G", cache_disk = "16G", data;
  bool no_data = false, keep_volatile = false, claude_names = false;
  int64_t max_running = 256, max_waiting = 1024, prefill_tokens = 512;

  std::string host = "127.0.0.1", tls_cert, tls_key, api_key_file;
  int port = 8080;
  std::vector<std::string> allowed_hosts, cors;

  std::string max_header = "32K", max_body = "64M", max_bodies = "1G";
  int64_t json_depth = 100, max_requests = 1024, max_connections = 2048, max_per_address = 1024;
  std::string header_time = "15s", body_time = "5m", idle_time = "75s", write_time = "30s", request_time = "forever", grace = "30s";

  std::string tools, root = ".";  // of the page
  std::vector<std::string> mcp, tool_hosts;
  bool no_page = false;

  std::string log = "logfmt", trace;
  bool log_prompts = false;

  std::string config;
  bool print_config = false;
};

void add_serve_options(CLI::App& command, ServeOptions& options);

// Reads options.config, if there is one, and sets whatever of it the command line did not. Relative paths in it are from its folder.
Result<void> apply_config_file(CLI::App& command, ServeOptions& options);

// All options as such a file, with what they are for.
std::string config_text(const CLI::App& command, const ServeOptions& options);

}  // namespace quern
