// Decoding: one generation behind its prompt, step by step. It is given the logits of the last token fed and says which tokens are to be fed
// next; whoever runs it, one session or many in a batch, does the feeding. Tokens are given out as soon as they are known and fed when the
// model's next word is wanted, so text that has to come costs no pass of its own.
//   decoding.begin();
//   while (!decoding.over()) feed(decoding.waiting()), decoding.step(logits of the last token fed);
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "runtime/engine.h"
#include "runtime/sampler.h"
#include "runtime/stop_strings.h"
#include "runtime/thought.h"
#include "text/tokenizer.h"

namespace quern {

// What is wrong with a request before anything is computed; see Session::generate.
Result<void> check_request(const Engine& engine, const GenerateRequest& request);

// Of a request that passed check_request and outlives it. One thread at a time.
class Decoding {
 public:
  // seed: instead of the request's; absent: that one.
  Decoding(const Engine& engine, const GenerateRequest& request, std::optional<uint64_t> seed);

  void begin();  // once, when the prompt has been fed
  bool over() const { return over_; }
  // To be fed before the next step, at most what the context has room for. Empty in front of the first step where nothing has to come: it
  // is for the prompt's logits.
  std::span<const int32_t> waiting() const { return waiting_; }
  // Chooses the next token by logits [vocab], then gives it out. Errors: of the constraint; the generation is over then.
  Result<void> step(std::span<const float> logits) {
    choose(logits);
    return take();
  }
  // Its halves: the first may run for several generations at once, each on a thread of its own; the second calls back.
  void choose(std::span<const float> logits);
  Result<void> take();
  void cancel();  // nothing more is given out

  uint64_t drawn_to() const { return sampler_.seed_of_the_rest(); }  // the sampler's state
  Generation& result() { return out_; }                              // complete when over; its prompt's side is the caller's

 private:
  template <class Work>
  std::invoke_result_t<Work> timed(const Work& work);
  bool all_given() const { return static_cast<int64_t>(out_.tokens.size()) >= request_.max_tokens; }
  bool is_end(int32_t id) const;
  void end(FinishReason why);
  void complete();
  bool emit(const GeneratedToken& token);
  bool give(int32_t token, std::optional<double> logprob = {});
  void flush();
  void go_on();
  void close_thought();
  void obey(Matcher& matcher);
  size_t give_forced(std::span<const int32_t> ids);
  Result<int32_t> draw(std::span<const float> logits);

  const Engine& engine_;
  const GenerateRequest& request_;
  Generation out_;
  Sampler sampler_;
  std::optional<StreamDecoder> decoder_;
  StopStrings stops_;
  Thought thought_;
  struct Choice {
    Result<int32_t> token = 0;
    std::optional<double> logprob;
    std::vector<TokenProbability> top;
  } choice_;
  std::vector<int32_t> waiting_;  // given out, not fed yet
  int64_t fed_ = 0;               // tokens, the prompt's with them
  bool over_ = false, interrupted_ = false;
};

}  // namespace quern
