// What clients put into their system prompts although it differs from request to request or from session to session. The template has the
// tools behind the system prompt, so one such line in front makes all of that, and the whole conversation, a prompt that nobody has read
// before. These lines go behind what stays the same:
//
//   line or block                                                     where it goes                 who sends it
//   x-anthropic-billing-header: cc_version=…; cch=…;  (x-anthropic-*)   nowhere: it is no text        Claude Code, new in each request
//   <env> … </env>, with the line that announces it                    a system message behind       Claude Code, opencode, crush
//   # Environment, with its list (working directory, platform, …)        the first one, and so         Claude Code since 2.1
//   gitStatus: … (to the next heading, or the end)                     behind the tools              Claude Code
//   Today's date: …, Current date: …, Today is …                                                     many
//   a line about the current time with a clock's hh:mm in it            a system message at the end   many
//
// What is moved keeps its words and stays the system's. A clock at the end costs the reading of the last answer at each turn, since the
// next prompt no longer has it there; in front it would cost all of it.
#pragma once

#include <cstddef>

#include "text/conversation.h"

namespace quern {

struct VolatileLines {
  bool move = true;  // false: prompts are what the client wrote
};

// Works on the first message, if it is the system's. Returns how many lines were moved or left out.
size_t move_volatile_lines(Conversation& conversation, const VolatileLines& options = {});

}  // namespace quern
