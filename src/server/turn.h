// One turn of a model as every dialect asks for it, carried out on a scheduler: rendered, constrained, generated, and taken apart into
// what a client is told while it happens. Dialects translate their requests to TurnRequest and TurnUpdates to their answers; none of
// them knows tokens, templates or constraints.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "constrain/turn_machine.h"
#include "runtime/engine.h"
#include "server/models.h"
#include "text/conversation.h"

namespace quern {

struct TurnRequest {
  // A conversation, or a raw prompt that is continued as it is (/v1/completions, /api/generate with raw).
  std::variant<Conversation, std::string> prompt;
  ToolChoice choice;
  bool parallel_calls = true;
  std::optional<Json> schema;  // the answer is JSON that satisfies it ({}: any JSON)
  SamplingParams sampling;     // begins as the model's default_sampling()
  int64_t max_tokens = -1;     // -1: as many as the context has room for
  std::vector<std::string> stop;
  std::optional<int64_t> reasoning_tokens;  // a budget for what a thinking model thinks; past it the reasoning is closed
  std::optional<int> top_logprobs;          // of each token, beside its own
  std::string client;
  int priority = 0;
};

struct TokenLogprob {
  int32_t token = 0;
  std::string bytes;
  double logprob = 0;
};
struct TokenLogprobs : TokenLogprob {
  std::vector<TokenLogprob> top;
};

// In order: Begun; then Thinking, Text and calls as they come; one End or Failed.
struct TurnBegun {
  int64_t prompt_tokens = 0;
};
struct TurnReading {  // the prompt is being read
  int64_t done = 0, total = 0;
};
struct TurnThinking {
  std::string text;
};
struct TurnText {
  std::string text;
  std::vector<TokenLogprobs> logprobs;  // of the tokens that made it
};
struct TurnCall {  // a call's name is known: index counts the calls of this turn from 0
  int64_t index = 0;
  std::string id, name;
};
struct TurnArguments {  // more of the call's arguments, JSON text in whatever format the model wrote it
  int64_t index = 0;
  std::string json;
};
struct TurnEnd {
  FinishReason finish = FinishReason::stop;
  std::string stop;  // the stop string that ended it
  int64_t calls = 0;
  int64_t prompt_tokens = 0, reused_tokens = 0, tokens = 0, reasoning_tokens = 0;
  double prefill_s = 0, decode_s = 0;
};
struct TurnFailed {
  Error error;
};
using TurnUpdate = std::variant<TurnBegun, TurnReading, TurnThinking, TurnText, TurnCall, TurnArguments, TurnEnd, TurnFailed>;

// The turn as it goes on. Not shared between threads, but for cancel(). Destroying it cancels.
class TurnStream {
 public:
  TurnStream(TurnStream&&) noexcept;
  ~TurnStream();

  // Waits for what comes next; after TurnEnd or TurnFailed there is nothing.
  std::optional<TurnUpdate> next();
  // Ends the turn soon (FinishReason::cancelled); from any thread.
  void cancel();

 private:
  struct Impl;
  friend Result<TurnStream> begin_turn(std::shared_ptr<ServedModel> model, TurnRequest request);
  explicit TurnStream(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// Errors are the request's, found before anything runs: a schema or tool that cannot be enforced, a prompt longer than the context, a full
// queue (busy), a model without a tokenizer.
Result<TurnStream> begin_turn(std::shared_ptr<ServedModel> model, TurnRequest request);

}  // namespace quern
