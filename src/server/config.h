// The configuration file of a server: YAML whose keys are the command's options without their dashes, and the models with their names.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/models.h"

namespace quern {

struct ServerConfig {
  struct Setting {
    std::string key;  // "max-body"
    std::vector<std::string> values;
    int line = 0, column = 0;  // of the key, from 1
  };
  std::vector<Setting> settings;
  std::vector<ModelEntry> models;  // paths as they stand there
};

// malformed: "where:line:column: what". Which keys and values there are is the caller's to know.
Result<ServerConfig> parse_server_config(std::string_view text, std::string_view where);

// "90", "90s", "1.5m", "2h", "7d"; "forever" is -1. Nothing where it is anything else.
Result<std::chrono::duration<double>> parse_duration(std::string_view text);
// Bytes: "1048576", "64M", "1.5G", "512 KiB"; a unit is a power of 1024.
Result<size_t> parse_size(std::string_view text);

}  // namespace quern
