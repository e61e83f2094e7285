// Asking somebody at the terminal.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/loop.h"

namespace quern {

// One line from the terminal; nothing when the input ended or `interrupted` says so, which is looked at ten times a second.
std::optional<std::string> read_terminal_line(const std::function<bool()>& interrupted);

// Whether a call may be made: yes, no, all that follow, quit. call_line: shown above the question; empty: it stands there already. What is no answer is asked again; the end of input is quit.
Decision confirm_on_terminal(const std::string& call_line, const std::function<bool()>& interrupted);

}  // namespace quern
