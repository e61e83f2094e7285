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
  // A conversation, or a raw prompt that is continued as it is (/v1/completions, /api/generate with raw), as text or as tokens.
  std::variant<Conversation, std::string, std::vector<int32_t>> prompt;
  // Of a conversation's answer: what it begins with, as if the model had said so, without reasoning. It is not told again.
  std::string prefill;
  ToolChoice choice;
  std::optional<std::vector<std::string>> allowed_tools;  // the model knows of all, and may call these
  bool parallel_calls = true;
  std::optional<Json> schema;  // the answer is JSON that satisfies it ({}: any JSON)
  SamplingParams sampling;  // begins as the model's default_sampling(); the seed is the first choice's, the others count on from it
  int64_t choices = 1;      // independent answers to one prompt
  int64_t max_tokens = -1;  // of each; -1: as many as the context has room for
  std::vector<std::string> stop;
  std::optional<int64_t> reasoning_tokens;  // a budget for what a thinking model thinks; past it the reasoning is closed
  std::optional<int> top_logprobs;          // of each token, beside its own
  bool undivided = false;     // all of it is told as text, the tags of reasoning and calls with it; calls are told besides
  bool move_volatile = true;  // lines that are known to change with each request go behind the others
  std::string client;
  int priority = 0;
  std::shared_ptr<Session> session;  // as in a Job; only with one choice
  // Of a conversation, its tokens, where the caller has rendered it: what a session holds, and more. It says then which tools there are.
  std::optional<std::vector<int32_t>> rendered;
};

struct TokenLogprob {
  int32_t token = 0;
  std::string bytes;
  double logprob = 0;
};
struct TokenLogprobs : TokenLogprob {
  std::vector<TokenLogprob> top;
};

// In order: Begun, once for all choices; then of each choice Thinking, Text and calls as they come, and one End or Failed.
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
  std::vector<TokenLogprobs> logprobs;  // of the tokens that made it, but for those that nobody asked the model for (forced text)
};
struct TurnCall {  // a call's name is known: index counts the calls of this choice from 0
  int64_t index = 0;
  std::string id, name;
};
struct TurnArguments {  // more of the call's arguments, JSON text as the model wrote it, or made of its XML
  int64_t index = 0;
  std::string json;
};
struct TurnEnd {
  FinishReason finish = FinishReason::stop;
  std::string stop;   // the stop string that ended it
  int64_t calls = 0;  // complete ones
  int64_t prompt_tokens = 0, reused_tokens = 0, tokens = 0, reasoning_tokens = 0;
  double queued_s = 0, prefill_s = 0, decode_s = 0;
  std::vector<int32_t> ids;  // the tokens themselves, where there is a session
};
struct TurnFailed {
  Error error;
};
struct
    TurnFromDisk {  // nothing has come yet, and so much of the model's files is in memory: the rest comes from the disk as it is needed
  Residency weights;
};
struct TurnIdle {};  // nothing happened for the time that next() was told
using TurnUpdate = std::variant<TurnBegun, TurnReading, TurnThinking, TurnText, TurnCall, TurnArguments, TurnEnd, TurnFailed,
                                TurnFromDisk, TurnIdle>;

// The turn as it goes on. Not shared between threads, but for cancel(). Destroying it cancels. Updates wait until they are asked for, up to
// a bound of a megabyte: who is further behind than that gets TurnFailed (busy), so that the scheduler never waits for a reader.
class TurnStream {
 public:
  TurnStream(TurnStream&&) noexcept;
  TurnStream& operator=(TurnStream&&) noexcept;
  ~TurnStream();

  // Waits for what comes next; after every choice's TurnEnd or TurnFailed there is nothing. TurnFromDisk comes about twice a second, until the first
  // part of the prompt was read, while the model's files are not all in memory. idle_s: after so long without anything
  // TurnIdle, so that somebody who waits can say that he still does; 0: never.
  std::optional<TurnUpdate> next(double idle_s = 0);
  int64_t choice() const;  // whose the last update was
  // Ends the turn soon (FinishReason::cancelled); from any thread.
  void cancel();

 private:
  struct Impl;
  friend Result<TurnStream> begin_turn(std::shared_ptr<ServedModel> model, TurnRequest request);
  explicit TurnStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Errors are the request's, found before anything runs: a schema or tool that cannot be enforced (unsupported), a prompt longer than the
// context (out_of_range), a full queue (busy), a model without a tokenizer (not_found), an answer that may not begin as `prefill` does.
Result<TurnStream> begin_turn(std::shared_ptr<ServedModel> model, TurnRequest request);

// The tokens that the model would read: for counting, and for showing. The same errors, but for the queue's and the constraint's.
Result<std::vector<int32_t>> turn_prompt(const ServedModel& model, TurnRequest request);

}  // namespace quern
