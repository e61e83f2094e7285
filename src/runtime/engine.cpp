#include "runtime/engine.h"

#include <algorithm>

#include "base/check.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/file.h"
#include "runtime/engine_impl.h"
#include "text/model_text.h"

namespace quern {
namespace {

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

Result<std::vector<float>> Engine::embed(std::span<const int32_t> tokens) const {
  QUERN_ASSIGN(Generation out, Session(*this).generate({.prompt = {tokens.begin(), tokens.end()}, .embed = true}));
  return std::move(out.embedding);
}

}  // namespace quern
