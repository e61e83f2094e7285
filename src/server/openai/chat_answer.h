// A turn as /v1/chat/completions tells it: in chunks while it goes on, or as one answer at its end.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "server/openai/run.h"
#include "server/turn.h"

namespace quern {

struct ChatAnswerOptions {
  OpenAiHead head;
  size_t choices = 1;
  bool logprobs = false, functions = false, include_usage = false;
};

// Its updates become chunks.
class ChatChunks {
 public:
  explicit ChatChunks(ChatAnswerOptions options) : options_(std::move(options)), begun_(options_.choices) {}

  std::vector<Json> on(int64_t choice, const TurnUpdate& update);
  // When all choices have ended: the usage, if it was asked for.
  std::optional<Json> last() const;

 private:
  Json chunk(int64_t choice, Json delta, Json finish = nullptr) const;
  Json call_delta(int64_t index, Json function, const std::string* id) const;

  ChatAnswerOptions options_;
  std::vector<bool> begun_;  // the choice's role was told
  OpenAiUsage usage_;
};

// Its updates become one answer.
class ChatWhole {
 public:
  explicit ChatWhole(ChatAnswerOptions options) : options_(std::move(options)), choices_(options_.choices) {}

  void on(int64_t choice, const TurnUpdate& update);
  Json answer() const;  // when all choices have ended

 private:
  struct Call {
    std::string id, name, arguments;
  };
  struct Choice {
    std::string text, thinking;
    std::vector<Call> calls;
    std::vector<TokenLogprobs> logprobs;
    TurnEnd end;
  };
  Json message(const Choice& choice) const;

  ChatAnswerOptions options_;
  std::vector<Choice> choices_;
  OpenAiUsage usage_;
};

// [{"token", "logprob", "bytes", "top_logprobs"}]
Json logprobs_json(const std::vector<TokenLogprobs>& tokens);
double finite_logprob(double logprob);  // of a token that could not come: -9999

}  // namespace quern
