// One question of the page and its answer: carried out by the agent's loop, told as server-sent events (web/src/lib/api.ts, TurnEvent), and
// put into the history, also where it was broken off.
#pragma once

#include "server/http/exchange.h"
#include "server/page/page.h"

namespace quern {

// How the page wants to be answered (web/src/lib/api.ts, Settings).
struct PageSettings {
  std::string model, system;
  std::vector<std::string> tools;
  std::optional<double> temperature, top_p;
  std::optional<int64_t> max_tokens;
  bool thinking = true;

  // invalid_argument names the member.
  static Result<PageSettings> read(const Json& json);
};

struct PageQuestion {
  std::optional<int64_t> parent;
  Json parts = Json::array();  // empty: the question is the parent itself, asked again
  PageSettings settings;

  static Result<PageQuestion> read(const Json& json);
};

struct AnswerParts {
  ServerContext& context;
  PageHistory& history;
  Approvals& approvals;
  PageTools* tools;
};

// Everything that can be wrong with the question is an error, before anything is sent.
Result<void> answer_question(const AnswerParts& with, int64_t conversation, const PageQuestion& question, const std::string& client,
                             ServerResponse& response);

}  // namespace quern
