// What the handlers of every dialect share; it outlives them.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/json.h"
#include "server/http/exchange.h"
#include "server/models.h"

namespace quern {

class Metrics;

struct ServerContext {
  ModelPool& models;
  Metrics& metrics;
  std::string version;
  // Where what clients may come back for is kept beyond the process (sessions, answers): each dialect in a folder of its own below. Empty:
  // nowhere.
  std::filesystem::path data{};
  size_t json_depth = 100;    // of requests
  bool move_volatile = true;  // lines of a prompt that are known to change with each request go behind those that do not
  // A request of Anthropic's API for a model that starts with claude- and is not there gets the default one: such clients ask for several
  // of them by name, for small jobs in the background too.
  bool claude_names = false;
  std::function<void(const std::string& line)> on_warning{};  // for the log, from any thread

  void warn(const std::string& line) const {
    if (on_warning) on_warning(line);
  }
};

// The body of a request as JSON. Malformed: "request: …".
Result<Json> request_json(const ServerRequest& request, const ServerContext& context);

}  // namespace quern
