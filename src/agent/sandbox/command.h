// A program run to its end, with what it printed: the loop that reads, watches limits and looks whether somebody cancelled.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "agent/sandbox/process.h"

namespace quern {

struct CommandOptions {
  ProcessOptions process;  // Input::pipe and Errors::own_pipe are not used: it has no input, and one output
  // Of the output these many bytes at its beginning and at its end are kept.
  size_t keep_first = 0, keep_last = size_t{16} << 10;
  std::function<bool()> cancelled;                     // looked at ten times a second; empty: never
  std::function<void(std::string_view line)> on_line;  // as they come, each at most 4 KiB and valid UTF-8; empty: nobody looks
};

struct CommandOutcome {
  int exit_code = 0;        // 128 + signal when one ended it
  std::string first, last;  // valid UTF-8; all of it is in `first` when nothing is left out
  size_t output_bytes = 0;  // all that it printed while it was read
  std::string ended_by_us;  // "interrupted", "took longer than 3 s", …; empty: it ended by itself
  std::string confinement;  // what held it, one line

  size_t left_out = 0;  // bytes between first and last

  std::string text() const;  // both, with a line about what is left out between them
};

// Errors: only of starting it, as ChildProcess::spawn.
Result<CommandOutcome> run_command(const CommandOptions& options);

}  // namespace quern
