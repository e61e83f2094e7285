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
  double temperature = 0;  // 0: greedy, the other fields are not looked at
  double top_p = 1, min_p = 0;
  int64_t top_k = 0;  // 0: all
  uint64_t seed = 0;
};

// stop: an end-of-turn token, a stop string, or a constraint's text after which only the end may come.
enum class FinishReason { stop, length, context, cancelled };

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
  // Called as the prompt is read with how many of its tokens the state holds, every 512 at most (Timeline::kCut); false cancels.
  std::function<bool(int64_t done, int64_t total)> on_prefill;
  // Called with each generated token and the text that became complete with it (special tokens' text left out); false cancels.
  std::function<bool(int32_t token, std::string_view text)> on_token;
};

struct Generation {
  std::vector<int32_t> tokens;  // without the end-of-turn token
  std::string text;             // decoded, cut before a stop string
  FinishReason finish = FinishReason::stop;
  int64_t prompt_tokens = 0, reused_tokens = 0;  // of the prompt's tokens, how many the session already held
  int64_t forced_tokens = 0;                     // of `tokens`, those that the constraint gave
  bool complete = false;  // ended where a text may end: by an end-of-turn token, or because only that could have come
  double prefill_s = 0, decode_s = 0;
  double constrain_s = 0;  // of decode_s, what masks and forced text took
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

  // Everything the session holds (tokens, KV pages, recurrent states, how far back it reaches, the sampler's state) as one file, which is
  // there whole or not at all. A session restored from it, in whatever process, goes on bit for bit as this one would on the same back end.
  // restore refuses what is not whole (malformed), another model's or other settings' (mismatch), and what is longer than the context.
  Result<void> save(const std::filesystem::path& path) const;
  static Result<Session> restore(const Engine& engine, const std::filesystem::path& path);

  const std::vector<int32_t>& tokens() const;  // that the state holds

  // Brings the timeline to request.prompt (keeping what it shares with the tokens already held, where the state can go back that far),
  // then generates. Errors: an id outside the vocabulary, a prompt longer than the context (names --context); a constraint without a
  // tokenizer or with ignore_eos, one that reaches its limits of memory, or that no token of the vocabulary satisfies.
  Result<Generation> generate(const GenerateRequest& request);

 private:
  struct Impl;
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
  // Constraints over it that nobody uses at the moment.
  ConstraintCache& constraints() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern
