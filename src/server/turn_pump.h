// What every dialect does with a turn on behalf of a client that may go away.
#pragma once

#include <functional>

#include "server/http/exchange.h"
#include "server/turn.h"

namespace quern {

std::string_view finish_name(FinishReason finish);  // "stop", "length", "context", "cancelled"

// Hands on update after update until the last one, or until `on` says false: nobody listens. When the client goes away the turn is
// cancelled. What the log wants to know is noted.
void pump_turn(TurnStream& turn, ServerResponse& response, const std::function<bool(const TurnUpdate&)>& on);

// What of the text may stand in a header: printable ASCII, 1000 characters at most.
std::string header_text(std::string_view text);

}  // namespace quern
