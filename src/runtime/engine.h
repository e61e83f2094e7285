// Engine: a loaded model with its tokenizer, chat format and back end; Session: one sequence's timeline of tokens with its state.
// This is the whole face of the lower layers towards eval/, agent/ and the commands.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cpu_features.h"
#include "base/result.h"
#include "constrain/constraint_cache.h"
#include "constrain/matcher.h"
#include "kernels/attention/attention.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace quern {

enum class OpsKind { reference, cpu };

struct EngineOptions {
  std::filesystem::path model;  // a folder
  int threads = 0;              // 0: the cores this process may use
  OpsKind ops = OpsKind::cpu;
  std::optional<Isa> isa;  // absent: the best of this machine
  KvFormat kv = KvFormat::bf16;
  std::optional<int64_t> context;         // tokens; overrides the config's limit
  std::optional<double> yarn;             // YaRN factor; overrides the config
  std::optional<ChatFormat> chat_format;  // --template
  std::function<void(std::string)> on_warning;
};

struct SamplingParams {
  double temperature = 0;  // 0: greedy; the next four are not looked at then
  double top_p = 1, min_p = 0;
  int64_t top_k = 0;  // 0: all
  uint64_t seed = 0;

  // What changes logits before anything is chosen, greedily too, in this order.
  // Of each id in the prompt or in what was generated: a positive logit is divided by it, a negative one multiplied (as in transformers).
  double repetition_penalty = 1;
  // Of each generated id: taken off once, and once more for each time it was generated (as OpenAI's API defines them).
  double presence_penalty = 0, frequency_penalty = 0;
  std::vector<std::pair<int32_t, float>> logit_bias;  // added
};

// stop: an end-of-turn token, a stop string, or a constraint's text after which only the end may come.
enum class FinishReason { stop, length, context, cancelled };

// A token that could have come, and the logarithm of its probability as the model gives it: before penalties, constraint and temperature.
struct TokenProbability {
  int32_t id = 0;
  double logprob = 0;
};

// A token as it is generated.
struct GeneratedToken {
  int32_t id = 0;         // -1: none; text that had been held back
  std::string_view text;  // that became complete with it; special tokens' text is left out
  // With GenerateRequest::top_logprobs; absent where the model was not asked (forced text).
  std::optional<double> logprob;
  std::span<const TokenProbability> top;  // the likeliest first
};

struct GenerateRequest {
  std::vector<int32_t> prompt;
  SamplingParams sampling;
  bool draw_on = false;  // the sampler goes on where this session's last generation left it, instead of from sampling.seed
  int64_t max_tokens = 512;
  std::vector<std::string> stop;
  bool ignore_eos = false;  // not together with a constraint: it may end nowhere else
  // What the generated text must be; it begins at the first generated token, in whatever state the matcher is. Not owned.
  Matcher* constraint = nullptr;
  // Text that the constraint leaves no choice about is not asked of the model, but fed to it together with what comes before. It is
  // tokenised as a prompt is, which need not be how the model would have cut it.
  bool force = true;
  // Probabilities are told: each token's own, and those of so many of the likeliest.
  std::optional<int> top_logprobs;
  // Of a model that thinks: once it has generated so many tokens inside <think>, </think> is fed to it. Without effect outside of it.
  std::optional<int64_t> reasoning_tokens;
  // Nothing is generated: the prompt is read, all of it, and Generation::embedding made. Not in a session that holds tokens.
  bool embed = false;
  // Called as the prompt is read with how many of its tokens the state holds, every 512 at most (Timeline::kCut); false cancels.
  std::function<bool(int64_t done, int64_t total)> on_prefill;
  std::function<bool(const GeneratedToken& token)> on_token;  // false cancels
};

struct Generation {
  std::vector<int32_t> tokens;  // without the end-of-turn token
  std::string text;             // decoded, cut before a stop string
  std::string stop;             // the stop string that ended it
  FinishReason finish = FinishReason::stop;
  int64_t prompt_tokens = 0, reused_tokens = 0;  // of the prompt's tokens, how many the session already held
  int64_t forced_tokens = 0;                     // of `tokens`, those that nobody asked the model for
  int64_t reasoning_tokens = 0;                  // of `tokens`, those up to </think>, where the model thinks
  bool complete = false;  // ended where a text may end: by an end-of-turn token, or because only that could have come
  double queued_s = 0;    // before it was begun, where others had to be waited for (scheduler.h)
  double prefill_s = 0, decode_s = 0;
  double constrain_s = 0;        // of decode_s, what masks and forced text took
  std::vector<float> embedding;  // [hidden], with GenerateRequest::embed
};

class Engine;

// One timeline. Not shared between threads; must not outlive its engine.
class Session {
 public:
  explicit Session(const Engine& engine);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // A second session with the same past; each goes on without the other. KV pages are shared until one of them writes.
  Session fork() const;
  // The same for less than half of the memory beside KV pages, since it cannot go back to just before where it stands: for sessions that only
  // go on from here.
  Session fork_settled() const;

  // Everything the session holds (tokens, KV pages, recurrent states, how far back it reaches, the sampler's state) as one file, which is
  // there whole or not at all. A session restored from it, in whatever process, goes on bit for bit as this one would on the same back end.
  // restore refuses what is not whole (malformed), another model's or other settings' (mismatch), and what is longer than the context.
  Result<void> save(const std::filesystem::path& path) const;
  static Result<Session> restore(const Engine& engine, const std::filesystem::path& path);

  const std::vector<int32_t>& tokens() const;  // that the state holds

  // Brings the timeline to request.prompt (keeping what it shares with the tokens already held, where the state can go back that far),
  // then generates. Errors: an id outside the vocabulary, a prompt longer than the context (names --context); a constraint without a
  // tokenizer or with ignore_eos, one that reaches its limits of memory, or that no token of the vocabulary satisfies; numbers that are
  // none, or outside what they can be.
  Result<Generation> generate(const GenerateRequest& request);

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> load(const EngineOptions& options);
  ~Engine();

  const Tokenizer* tokenizer() const;  // nullptr when the folder has none
  ChatFormat chat_format() const;
  SamplingParams default_sampling() const;  // generation_config.json
  int64_t context() const;
  // The tokenizer's vocabulary as constraints want it, made at the first call. There must be a tokenizer.
  const Vocabulary& vocabulary() const;
  // The mean over the tokens of the final hidden states, after the norm: [hidden]. Like generating, for one thread at a time.
  Result<std::vector<float>> embed(std::span<const int32_t> tokens) const;
  // Constraints over it that nobody uses at the moment.
  ConstraintCache& constraints() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern
