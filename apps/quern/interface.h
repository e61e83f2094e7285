// The command line as data: what man pages and completions are made from (packaging/interface.py).
#pragma once

#include <CLI/CLI.hpp>

#include "base/json.h"

namespace quern {

// {"name", "description", "footer", "options": [{"names", "type", "description", "group", "default", "flag", "repeats", "required"}], "commands": […]}
// An option without dashes in its names is a positional argument.
Json describe_interface(const CLI::App& app);

}  // namespace quern
