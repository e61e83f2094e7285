#include "comparison.h"

#include <algorithm>
#include <array>

#include "agent/episode_player.h"
#include "base/file.h"
#include "eval/sample.h"
#include "kernels/quant_linear/quant_linear.h"
#include "runtime/engine_impl.h"
#include "text/model_text.h"
#include "trial.h"

namespace quern {
namespace {

Result<std::unique_ptr<Engine>> load(const std::filesystem::path& model, EngineOptions options) {
  options.model = model;
  return Engine::load(options);
}

QualityReport::Side side_of(const Engine& engine) {
  return {engine.impl().options.model.string(), matrix_totals(*engine.impl().model),
          std::string(kv_name(engine.impl().options.kv))};
}

// Formats without a kernel for int8 activations are decoded; under the reference ops all are.
QualityReport::Machine machine_of(const Engine& source, const Engine& result) {
  const Engine::Impl& impl = result.impl();
  QualityReport::Machine machine{impl.options.ops == OpsKind::reference ? "reference" : "cpu", std::string(isa_name(impl.isa)),
                                 false};
  for (const Engine* engine : {&source, &result})
    for (const NamedMatrix& matrix : named_matrices(*engine->impl().model))
      machine.int8_activations = machine.int8_activations || has_quant_linear(impl.isa, matrix.weight->format());
  return machine;
}

Result<QualityReport::Tools> play_both(const Engine& source, const Engine& result, const ComparisonOptions& o) {
  QualityReport::Tools tools{.episodes = fmt::format("{} chains of {} calls, {}, seed {}", o.episodes, o.length, o.split, o.seed),
                             .source = {},
                             .result = {}};
  const Split split = split_named(o.split);
  Progress progress("playing episodes");
  PlayWork ignored;
  for (int64_t i = 0; i < o.episodes; ++i) {
    const ToolEpisode episode = make_episode(Suite::chain, split, o.length, Random::mix(o.seed) + static_cast<uint64_t>(i));
    QUERN_ASSIGN(const EpisodeRecord by_source, play_episode(source, episode, {}, ignored));
    progress.update(static_cast<double>(2 * i + 1), static_cast<double>(2 * o.episodes));
    QUERN_ASSIGN(const EpisodeRecord by_result, play_episode(result, episode, {}, ignored));
    progress.update(static_cast<double>(2 * i + 2), static_cast<double>(2 * o.episodes));
    tools.source.add(by_source.scores), tools.result.add(by_result.scores);
  }
  return tools;
}

// Of those that end in .json; other endings are no report's.
bool is_name_of_model_file(const std::string& name) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"config.json", "generation_config.json", "tokenizer_config.json", "preprocessor_config.json", "tokenizer.json", "vocab.json",
       "added_tokens.json", "special_tokens_map.json", "chat_template.json", "quantize.json", "model.safetensors.index.json"});
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool speaks_tool_calls(const Engine& engine) { return engine.tokenizer() && engine.tokenizer()->find_added("<tool_call>") >= 0; }

}  // namespace

void ComparisonOptions::add_to(CLI::App& app) {
  app.add_option("--text", text, "Text that both models read: .jsonl (conversations) or plain; absent: a built-in sample");
  app.add_option("--tokens", tokens, "Tokens of it, at most")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 24))
      ->capture_default_str();
  app.add_option("--episodes", episodes, "Tool-calling episodes that both models play; 0: none")
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}))
      ->capture_default_str();
  app.add_option("--length", length, "Calls of an episode")->check(CLI::Range(int64_t{2}, int64_t{60}))->capture_default_str();
  app.add_option("--split", split, "Episodes of training or held-out words; pebble was trained on the former")
      ->check(CLI::IsMember({"held-out", "training"}))
      ->capture_default_str();
  app.add_option("--seed", seed, "Seed of the episodes")->capture_default_str();
}

Result<void> ComparisonOptions::check_report(std::initializer_list<std::filesystem::path> models) const {
  if (report.empty()) return {};
  if (!report.ends_with(".json") && !report.ends_with(".html"))
    return fail(Errc::invalid_argument, "--report {}: expected a name that ends in .json or .html", report);
  if (is_name_of_model_file(std::filesystem::path(report).filename().string()))
    return fail(Errc::denied, "--report {}: a file of models has that name", report);
  std::error_code ignored;
  const auto place = [&](const std::filesystem::path& path) { return std::filesystem::weakly_canonical(path, ignored); };
  for (const std::filesystem::path& model : models)  // a GGUF file may have any name, also one that is still to be written
    if (std::filesystem::equivalent(model, report, ignored) || place(model) == place(report))
      return fail(Errc::denied, "--report {}: is a model that is compared", report);
  QUERN_ASSIGN(const AtomicFile writable, AtomicFile::create(report));
  return {};
}

Result<void> ComparisonOptions::check_source(const std::filesystem::path& source) const {
  QUERN_ASSIGN(const ModelText model, load_model_text(source));
  if (!model.tokenizer) return no_tokenizer(source);
  const SampleRequest request{.file = text, .split = Split::held_out, .max_tokens = tokens};
  return make_sample(request, *model.tokenizer).map([](const Sample&) {});
}

Result<void> ComparisonOptions::write_report(const QualityReport& quality) const {
  if (report.empty()) return {};
  return write_file(report, report.ends_with(".html") ? quality_page(quality) : quality_json(quality).dump_indented() + "\n");
}

Result<QualityReport> compare_models(const std::filesystem::path& source_path, const std::filesystem::path& result_path,
                                     const EngineOptions& engine, const ComparisonOptions& options) {
  QUERN_ASSIGN(const auto source, load(source_path, engine));
  EngineOptions result_engine = engine;
  result_engine.kv = options.result_kv.value_or(engine.kv);
  QUERN_ASSIGN(const auto result, load(result_path, result_engine));
  QUERN_ASSIGN(const Sample sample, sample_for(*source, {.file = options.text,
                                                         .split = Split::held_out,
                                                         .max_tokens = options.tokens,
                                                         .context = std::min(source->context(), result->context())}));
  QualityReport report{.source = side_of(*source),
                       .result = side_of(*result),
                       .machine = machine_of(*source, *result),
                       .weights = {},
                       .text = {},
                       .tools = {}};
  report.text.source = sample.source;
  report.text.documents = static_cast<int64_t>(sample.documents.size());
  report.text.tokens = sample.tokens();
  {
    Progress progress("comparing predictions");
    const auto update = [&](double done, double total) { progress.update(done, total); };
    QUERN_ASSIGN(report.text.comparison, compare_tokens(*source, *result, sample, update));
  }
  {
    Progress progress("comparing weights");
    const auto update = [&](double done, double total) { progress.update(done, total); };
    report.weights = tensor_errors(*source->impl().model, *result->impl().model, *source->impl().pool, update);
  }
  if (options.episodes > 0 && speaks_tool_calls(*source) && speaks_tool_calls(*result)) {
    QUERN_ASSIGN(report.tools, play_both(*source, *result, options));
  }
  return report;
}

}  // namespace quern
