#include "server/turn_pump.h"

#include "server/http/status.h"

namespace quern {

std::string_view finish_name(FinishReason finish) {
  constexpr std::string_view names[] = {"stop", "length", "context", "cancelled"};
  return names[static_cast<size_t>(finish)];
}

void pump_turn(TurnStream& turn, ServerResponse& response, const std::function<bool(const TurnUpdate&)>& on) {
  response.on_closed([&turn] { turn.cancel(); });
  ExchangeNotes& notes = response.notes();
  while (const auto update = turn.next()) {
    if (const auto* end = std::get_if<TurnEnd>(&*update)) {
      notes.prompt_tokens = end->prompt_tokens;
      notes.reused_tokens = end->reused_tokens;
      notes.tokens = end->tokens;
      notes.queued_s = end->queued_s;
      notes.finish = finish_name(end->finish);
    } else if (const auto* failed = std::get_if<TurnFailed>(&*update)) {
      notes.finish = status_text(http_status(failed->error.code));
    }
    if (!on(*update)) {
      notes.finish = "cancelled";
      break;
    }
  }
  response.on_closed(nullptr);
}

std::string header_text(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 1000)) out += c >= 0x20 && c < 0x7F ? c : '?';
  return out;
}

}  // namespace quern
