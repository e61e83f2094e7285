// A turn in a session, as the server's own API asks for it and tells it.
#pragma once

#include <string>

#include "base/json.h"
#include "server/native/sessions.h"
#include "server/turn.h"

namespace quern {

// What is put behind the session's past: of "messages" (with "tools" when the session is empty), "text" and "tokens" one, or nothing.
struct SessionInput {
  std::vector<int32_t> tokens;  // all that the session stands for then
  std::vector<Json> tools;      // that it has from then on
  bool conversation = false;    // ends with the assistant's turn opened
};
// answer: the assistant's turn is to be opened behind messages. Errors name the member.
Result<SessionInput> read_session_input(const Json& body, const HeldSession& held, bool answer);

struct SessionTurn {
  TurnRequest turn;
  bool stream = false;
};
Result<SessionTurn> read_session_turn(const Json& body, const HeldSession& held, SessionInput input);

// Makes the answer's objects: {"type": "thinking"|"text"|"call"|"arguments"|"end"|"error", …} while it goes on, and the whole at its end.
class SessionTurnAnswer {
 public:
  Json on(const TurnUpdate& update);  // null: nothing to tell
  Json whole(const SessionView& session) const;
  const TurnEnd& end() const { return end_; }

 private:
  std::string text_, thinking_;
  struct Call {
    std::string id, name, arguments;
  };
  std::vector<Call> calls_;
  TurnEnd end_;
};

}  // namespace quern
