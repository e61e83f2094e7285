// ask_user: a question to whoever watches the run.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/tools/tool.h"

namespace quern {

// choices may be empty: any text is an answer then. nullopt: nobody answered (end of input, Ctrl-C).
using AskUser = std::function<std::optional<std::string>(const std::string& question, const std::vector<std::string>& choices)>;

// An empty function: the tool answers that nobody is there.
Tool ask_user_tool(AskUser ask);

}  // namespace quern
