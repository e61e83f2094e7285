#include "runtime/engine.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "base/check.h"
#include "base/cores.h"
#include "base/file.h"
#include "runtime/engine_impl.h"
#include "runtime/forced_text.h"
#include "runtime/sampler.h"
#include "text/model_text.h"

namespace quern {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Ends of a turn besides what the configs list: the family's tokens that no answer contains.
constexpr std::string_view kEndTokens[] = {"<|im_end|>", "<|endoftext|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"};

Result<ChatFormat> choose_chat_format(const EngineOptions& options, const std::string& text) {
  if (options.chat_format) return *options.chat_format;
  if (text.empty()) return ChatFormat::instruct;
  auto choice = recognise_template(text);
  if (!choice) return with_context(choice.error(), options.model.string());
  if (!choice->exact && options.on_warning)
    options.on_warning(fmt::format("{}: the chat template is not a published one; using the {} format (--template chooses)",
                                   options.model.string(), chat_format_name(choice->format)));
  return choice->format;
}

// --context and --yarn override what the config says, before anything is sized by it.
Result<void> apply_overrides(const EngineOptions& options, ModelConfig& config) {
  if (options.yarn) {
    if (!(*options.yarn >= 1 && *options.yarn <= 1e4))
      return fail(Errc::invalid_argument, "--yarn {}: expected a factor from 1 to 10000", *options.yarn);
    const double original = config.yarn ? config.yarn->original_max_position : static_cast<double>(config.max_position_embeddings);
    config.yarn.emplace();
    config.yarn->factor = *options.yarn;
    config.yarn->original_max_position = original;
    config.max_position_embeddings = static_cast<int64_t>(original * *options.yarn);
  }
  if (options.context) {
    if (*options.context < 1 || *options.context > (int64_t{1} << 40))
      return fail(Errc::invalid_argument, "--context {}: expected a positive number of tokens", *options.context);
    config.max_position_embeddings = *options.context;
  }
  return {};
}

}  // namespace

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::load(const EngineOptions& options) {
  const auto start = Clock::now();
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  QUERN_ASSIGN(auto model, Model::load(options.model));
  ModelConfig config = model->config;
  QUERN_TRY(apply_overrides(options, config));
  const_cast<ModelConfig&>(model->config) = config;  // still private to this function: nobody else has seen the model yet
  impl->model = std::move(model);
  QUERN_ASSIGN(ModelText words, load_model_text(options.model));
  impl->generation = std::move(words.generation);
  impl->tokenizer = std::move(words.tokenizer);
  if (impl->tokenizer) {
    QUERN_ASSIGN(impl->chat_format, choose_chat_format(options, words.chat_template));
  }
  const int64_t vocab = impl->model->config.vocab_size;
  impl->drawable = impl->tokenizer ? std::min<int64_t>(vocab, impl->tokenizer->vocab_size()) : vocab;
  for (const int64_t id :
       impl->generation.eos_token_ids.empty() ? impl->model->config.eos_token_ids : impl->generation.eos_token_ids)
    impl->end_ids.push_back(static_cast<int32_t>(id));
  if (impl->tokenizer)
    for (const std::string_view text : kEndTokens)
      if (const int32_t id = impl->tokenizer->find_added(text); id >= 0) impl->end_ids.push_back(id);

  if (options.isa && !cpu_supports(*options.isa))
    return fail(Errc::unsupported, "--isa {}: this processor does not have it", isa_name(*options.isa));
  impl->isa = options.ops == OpsKind::reference ? Isa::scalar : options.isa.value_or(best_isa());
  impl->pool = std::make_unique<ThreadPool>(options.threads > 0 ? options.threads : available_cores());
  impl->ops = std::make_unique<CpuOps>(*impl->pool, impl->isa);
  impl->workspace = std::make_unique<Workspace>(*impl->model);
  impl->runner = std::make_unique<Runner>(Runner{.model = *impl->model,
                                                 .ops = *impl->ops,
                                                 .workspace = *impl->workspace,
                                                 .kv = options.kv,
                                                 .context = impl->model->config.max_position_embeddings});
  if (impl->tokenizer) impl->runner->end_of_turn = impl->tokenizer->find_added("<|im_end|>");
  impl->load_s = seconds_since(start);
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

const Tokenizer* Engine::tokenizer() const { return impl_->tokenizer ? &*impl_->tokenizer : nullptr; }
ChatFormat Engine::chat_format() const { return impl_->chat_format; }
int64_t Engine::context() const { return impl_->runner->context; }
const Vocabulary& Engine::vocabulary() const {
  QUERN_CHECK(impl_->tokenizer.has_value(), "no tokenizer");
  std::call_once(impl_->vocabulary_once,
                 [&] { impl_->vocabulary = std::make_unique<const Vocabulary>(*impl_->tokenizer, impl_->end_ids); });
  return *impl_->vocabulary;
}
SamplingParams Engine::default_sampling() const {
  const GenerationConfig& g = impl_->generation;
  SamplingParams params;
  if (!g.do_sample.value_or(g.temperature.has_value())) return params;
  params.temperature = g.temperature.value_or(1);
  params.top_p = g.top_p.value_or(1);
  params.min_p = g.min_p.value_or(0);
  params.top_k = g.top_k.value_or(0);
  return params;
}

ConstraintCache& Engine::constraints() const { return impl_->constraints; }

namespace {

// Text is held back while it could still become a stop string; what stands before one is all that is given out.
class StopStrings {
 public:
  explicit StopStrings(const std::vector<std::string>& stops) : stops_(stops) {}
  // Adds text; returns what may be given out now. stopped() says that a stop string was completed.
  std::string push(std::string_view text) {
    held_ += text;
    size_t cut = std::string::npos;
    for (const std::string& stop : stops_)
      if (const size_t at = stop.empty() ? std::string::npos : held_.find(stop); at < cut) cut = at;
    if (cut != std::string::npos) {
      stopped_ = true;
      return std::exchange(held_, {}).substr(0, cut);
    }
    size_t keep = 0;
    for (const std::string& stop : stops_)
      for (size_t n = std::min(stop.size(), held_.size()); n > keep; --n)
        if (held_.ends_with(std::string_view(stop).substr(0, n))) keep = n;
    std::string out = held_.substr(0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
    return out;
  }
  std::string finish() { return std::exchange(held_, {}); }
  bool stopped() const { return stopped_; }

 private:
  const std::vector<std::string>& stops_;
  std::string held_;
  bool stopped_ = false;
};

// One generation behind its prompt. Tokens are given out as soon as they are known and fed to the model when its next word is wanted, so
// forced text costs no pass of its own.
class Decoding {
 public:
  // seed: instead of the request's; absent: that one.
  Decoding(const Engine& engine, Timeline& timeline, const GenerateRequest& request, std::optional<uint64_t> seed, Generation& out)
      : engine_(engine),
        timeline_(timeline),
        request_(request),
        out_(out),
        sampler_(with_seed(request.sampling, seed)),
        stops_(request.stop) {
    if (engine.tokenizer()) decoder_.emplace(*engine.tokenizer());
  }
  uint64_t drawn_to() const { return sampler_.seed_of_the_rest(); }

  Result<void> run() {
    for (;;) {
      if (request_.constraint) timed([&] { obey(*request_.constraint); });
      if (over_) break;
      if (all_given()) {
        end(FinishReason::length);
        break;
      }
      if (!waiting_.empty() && !timeline_.feed(waiting_)) {  // the only thing left to go wrong: the context is full
        end(FinishReason::context);
        break;
      }
      waiting_.clear();
      QUERN_ASSIGN(const int32_t token, draw());
      if (is_end(token) && !request_.ignore_eos) {
        complete();
        break;
      }
      if (!give(token)) break;
    }
    if (!interrupted_) flush();
    return {};
  }

 private:
  // What `work` gives; its time is the constraint's.
  template <class Work>
  std::invoke_result_t<Work> timed(const Work& work) {
    struct Timer {
      double& sum;
      Clock::time_point start = Clock::now();
      ~Timer() { sum += seconds_since(start); }
    } const timer{out_.constrain_s};
    return work();
  }

  static SamplingParams with_seed(SamplingParams sampling, std::optional<uint64_t> seed) {
    sampling.seed = seed.value_or(sampling.seed);
    return sampling;
  }
  bool all_given() const { return static_cast<int64_t>(out_.tokens.size()) >= request_.max_tokens; }
  bool is_end(int32_t id) const {
    const auto& ids = engine_.impl().end_ids;
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  }
  void end(FinishReason why) {
    over_ = true;
    out_.finish = why;
  }
  void complete() {
    end(FinishReason::stop);
    out_.complete = true;
  }
  bool emit(int32_t token, const std::string& text) {
    out_.text += text;
    return !request_.on_token || request_.on_token(token, text);
  }

  // Gives out a token; false when generation is over with it.
  bool give(int32_t token) {
    out_.tokens.push_back(token);
    waiting_.push_back(token);
    const bool silent = !decoder_ || engine_.tokenizer()->is_special(token);
    const bool go_on = emit(token, silent ? std::string() : stops_.push(decoder_->push(token)));
    if (go_on && !stops_.stopped()) return true;
    end(stops_.stopped() ? FinishReason::stop : FinishReason::cancelled);
    interrupted_ = true;
    return false;
  }

  // What was held back while it could still become a stop string, or a whole character.
  void flush() {
    std::string rest = stops_.push(decoder_ ? decoder_->finish() : std::string());
    if (!stops_.stopped()) rest += stops_.finish();
    if (!rest.empty()) emit(out_.tokens.empty() ? -1 : out_.tokens.back(), rest);
  }

  // What the constraint says before the model does: text that has to come, and whether that was all.
  void obey(Matcher& matcher) {
    if (request_.force && !all_given()) give_forced(matcher);
    if (!over_ && is_over(matcher)) complete();
  }

  void give_forced(Matcher& matcher) {
    const Engine::Impl& engine = engine_.impl();
    const std::vector<int32_t> forced = accept_forced(matcher, *engine.tokenizer, engine.drawable);
    const auto known = static_cast<int64_t>(timeline_.tokens().size() + waiting_.size());
    const int64_t room =  // the last token of all needs no place in the context
        std::min(request_.max_tokens - static_cast<int64_t>(out_.tokens.size()), engine.runner->context + 1 - known);
    size_t given = 0;
    while (!over_ && given < forced.size() && static_cast<int64_t>(given) < room) give(forced[given++]);
    out_.forced_tokens += static_cast<int64_t>(given);
    matcher.rollback(forced.size() - given);
    if (!over_ && given < forced.size() && !all_given()) end(FinishReason::context);
  }

  Result<int32_t> draw() {
    const int64_t limit = engine_.impl().drawable;
    if (!request_.constraint) return sampler_.sample(timeline_.logits(), limit);
    Matcher& matcher = *request_.constraint;
    // A model that keeps to the constraint by itself needs no mask: what is likeliest of all, and allowed, is likeliest of the allowed.
    if (sampler_.greedy()) {
      const int32_t token = sampler_.sample(timeline_.logits(), limit);
      if (timed([&] { return matcher.accept(token); })) return token;
    }
    QUERN_ASSIGN(const TokenMask* allowed, timed([&] { return matcher.mask(); }));
    const int32_t token = sampler_.sample(timeline_.logits(), limit, *allowed);
    if (token < 0) return fail(Errc::unsupported, "the constraint: no token of the vocabulary goes on as it must");
    const bool accepted = timed([&] { return matcher.accept(token); });
    QUERN_TRY(matcher.machine().healthy());
    QUERN_CHECK(accepted, token);
    return token;
  }

  const Engine& engine_;
  Timeline& timeline_;
  const GenerateRequest& request_;
  Generation& out_;
  Sampler sampler_;
  std::optional<StreamDecoder> decoder_;
  StopStrings stops_;
  std::vector<int32_t> waiting_;  // given out, not fed yet
  bool over_ = false, interrupted_ = false;
};

}  // namespace

struct Session::Impl {
  const Engine& owner;
  const Engine::Impl& engine;
  Timeline timeline;
  std::optional<uint64_t> drawn_to = std::nullopt;  // the sampler's state after the last generation

  // Makes the timeline a prefix of prompt that ends before its last token, as long as the state allows; returns its length.
  Result<int64_t> align(std::span<const int32_t> prompt) {
    const auto& held = timeline.tokens();
    const auto most = std::min(held.size(), prompt.size() - 1);  // the last token is fed always: its logits are wanted
    const auto common = static_cast<int64_t>(
        std::mismatch(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(most), prompt.begin()).first - held.begin());
    const int64_t kept = timeline.reachable(common);
    QUERN_TRY(timeline.rollback(kept));
    return kept;
  }

  Result<Generation> generate(const GenerateRequest& request);
};

Session::Session(const Engine& engine) : impl_(new Impl{engine, engine.impl(), Timeline(*engine.impl().runner)}) {}
Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;
Session Session::fork() const { return Session(std::make_unique<Impl>(*impl_)); }
const std::vector<int32_t>& Session::tokens() const { return impl_->timeline.tokens(); }

Result<void> Session::save(const std::filesystem::path& path) const {
  Timeline::Notes notes;
  if (impl_->drawn_to) notes["sampler"] = fmt::format("{:016x}", *impl_->drawn_to);
  return impl_->timeline.save(path, std::move(notes));
}

Result<Session> Session::restore(const Engine& engine, const std::filesystem::path& path) {
  Timeline::Notes notes;
  QUERN_ASSIGN(Timeline timeline, Timeline::restore(*engine.impl().runner, path, notes));
  auto impl = std::make_unique<Impl>(Impl{engine, engine.impl(), std::move(timeline)});
  if (const auto note = notes.find("sampler"); note != notes.end()) {
    uint64_t state = 0;
    const char *first = note->second.data(), *last = first + note->second.size();
    const auto [end, status] = std::from_chars(first, last, state, 16);
    if (status != std::errc() || end != last)
      return fail(Errc::malformed, "{}: sampler {}: expected a hexadecimal number", path.string(), note->second.substr(0, 40));
    impl->drawn_to = state;
  }
  return Session(std::move(impl));
}

Result<Generation> Session::generate(const GenerateRequest& request) { return impl_->generate(request); }

Result<Generation> Session::Impl::generate(const GenerateRequest& request) {
  if (request.prompt.empty()) return fail(Errc::invalid_argument, "the prompt is empty");
  if (request.constraint && !engine.tokenizer)
    return fail(Errc::not_found, "{}: no tokenizer: there is no text to constrain", engine.options.model.string());
  if (request.constraint && request.ignore_eos)
    return fail(Errc::invalid_argument, "a constrained text ends where it is complete: end-of-turn tokens cannot be ignored");
  Generation out;
  out.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  const auto start = Clock::now();
  QUERN_ASSIGN(out.reused_tokens, align(request.prompt));
  QUERN_TRY(timeline.feed(std::span(request.prompt).subspan(static_cast<size_t>(out.reused_tokens)), Batch::Logits::last,
                          [&](int64_t first, std::span<const int32_t> part) {
                            return !request.on_prefill ||
                                   request.on_prefill(first + static_cast<int64_t>(part.size()), out.prompt_tokens);
                          }));
  out.prefill_s = seconds_since(start);
  if (timeline.tokens().size() < request.prompt.size()) {
    out.finish = FinishReason::cancelled;
    return out;
  }
  timeline.checkpoint("prompt");  // the next turn may render this one differently, but its prompt stays a prefix
  const auto decode_start = Clock::now();
  Decoding decoding(owner, timeline, request, request.draw_on ? drawn_to : std::nullopt, out);
  const auto decoded = decoding.run();
  drawn_to = decoding.drawn_to();
  QUERN_TRY(decoded);
  out.decode_s = seconds_since(decode_start);
  return out;
}

}  // namespace quern
