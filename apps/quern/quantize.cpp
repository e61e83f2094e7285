// quern quantize: a model with its matrices in smaller formats, as a folder or a GGUF file.
#include "convert/quantize.h"

#include <fmt/ranges.h>

#include <iterator>
#include <optional>

#include "base/cores.h"
#include "base/file.h"
#include "comparison.h"
#include "models.h"
#include "trial.h"

namespace quern {
namespace {

struct Options {
  std::string in, out, to, format, recipe, importance;
  bool fast = false, force = false, no_mtp = false, packed = false, feedback = false;
  std::string feedback_text;
  int64_t feedback_tokens = 16384;
  int threads = 0;
  ComparisonOptions comparison;  // where it has a report

  ModelContainer container() const {
    const bool gguf = to.empty() ? out.ends_with(".gguf") : to == "gguf";
    return gguf ? ModelContainer::gguf : ModelContainer::folder;
  }
};

std::string gigabytes(int64_t bytes) { return fmt::format("{:.3f} GB", static_cast<double>(bytes) / 1e9); }

double bits_per_weight(const QuantizeReport::Tally& tally) {
  return tally.weights > 0 ? 8 * static_cast<double>(tally.bytes) / static_cast<double>(tally.weights) : 0;
}

std::string kind_of(const QuantizeReport& r) {
  if (r.layout == OutputLayout::gguf) return "GGUF file";
  const std::string_view layout = r.packed > 0 ? "packed" : r.layout == OutputLayout::mlx ? "MLX" : "Hugging Face";
  return fmt::format("{} folder of {} files", layout, r.files);
}

std::string as_text(const QuantizeReport& r, const std::string& out) {
  std::string text = fmt::format("{:<20}{:>10}{:>16}{:>14}{:>10}\n", "matrices", "tensors", "weights", "size", "bits");
  const auto line = [&](std::string_view name, const QuantizeReport::Tally& t) {
    text += fmt::format("{:<20}{:>10}{:>16}{:>14}{:>10.2f}\n", name, t.tensors, t.weights, gigabytes(t.bytes), bits_per_weight(t));
  };
  for (const QuantizeReport::Tally& tally : r.matrices) line(quant_format_info(tally.format).name, tally);
  line("with vectors", r.total);
  text += fmt::format("\n{}: {}, {} from {}\n", out, kind_of(r), gigabytes(r.total.bytes), gigabytes(r.source_bytes));
  if (r.resumed_files > 0) text += fmt::format("{} files were finished before\n", r.resumed_files);
  for (const std::string& note : r.notes) text += fmt::format("note: {}\n", note);
  return text;
}

Result<QuantizeReport> quantize_with_progress(const Options& o, QuantizeOptions options) {
  Progress progress("writing " + o.out);
  options.on_progress = [&](double done, double total) { progress.update(done, total); };
  ThreadPool pool(o.threads > 0 ? o.threads : available_cores());
  return quantize(o.in, o.out, options, pool);
}

Result<void> report_quality(const Options& o) {
  QUERN_ASSIGN(const QualityReport report, compare_models(o.in, o.out, {.threads = o.threads, .kv = KvFormat::f32}, o.comparison));
  QUERN_TRY(o.comparison.write_report(report));
  return print_out("\n" + quality_text(report));
}

Result<std::vector<std::vector<int32_t>>> feedback_documents(const Options& o) {
  QUERN_ASSIGN(const auto engine, Engine::load({.model = o.in, .threads = 1}));
  QUERN_ASSIGN(const Sample sample, sample_for(*engine, {.file = o.feedback_text,
                                                         .split = Split::training,
                                                         .max_tokens = o.feedback_tokens,
                                                         .context = engine->context()}));
  return sample.ids();
}

Result<int> quantize_model(const Options& o) {
  QUERN_TRY(o.comparison.check_report({o.in, o.out}));
  QuantizeOptions options{.container = o.container()};
  if (o.no_mtp) options.mtp = MtpBlock::leave_out;
  if (o.packed) options.order = RowOrder::strips;
  if (o.recipe.empty()) {
    QUERN_ASSIGN(options.recipe, Recipe::builtin(o.format, options.container));
  } else {
    QUERN_ASSIGN(const std::string text, read_file(o.recipe, size_t{1} << 20));
    QUERN_ASSIGN(options.recipe, Recipe::parse(text, o.recipe, options.container));
  }
  std::optional<InputStatistics> statistics;
  if (!o.importance.empty()) {
    QUERN_ASSIGN(statistics, InputStatistics::load(o.importance));
    options.importance = &*statistics;
  }
  std::vector<std::vector<int32_t>> text;
  if (o.feedback) {
    QUERN_ASSIGN(text, feedback_documents(o));
    options.feedback_text = text;
  }
  if (!o.comparison.report.empty()) QUERN_TRY(o.comparison.check_source(o.in));
  options.search = o.fast ? ScaleSearch::none : ScaleSearch::full;
  options.replace = o.force ? Replace::model_folders : Replace::never;
  QUERN_ASSIGN(const QuantizeReport report, quantize_with_progress(o, std::move(options)));
  QUERN_TRY(print_out(as_text(report, o.out)));
  if (!o.comparison.report.empty()) QUERN_TRY(report_quality(o));
  return kSuccess;
}

constexpr std::string_view kAbout = R"(Writes OUT, a model whose matrices take fewer bits. IN is a Hugging Face folder
(bf16, f16, f32, block-FP8), an MLX folder or a GGUF file. OUT becomes an MLX
folder; with bf16 and f32 a Hugging Face folder; with --to gguf, or where its
name ends in .gguf, a GGUF file as llama.cpp reads it.

Formats of a folder:
)";

constexpr std::string_view kDetails = R"(
  Norms and other vectors are never quantised. In folders all but qx86-hi, bf16
  and f32 keep the router and the shared expert's gate as they are, and all but
  bf16 and f32 keep the DeltaNet's in_proj_ba. In GGUF files these are f32.

Recipes:
  A text file of lines PATTERN FORMAT. The first pattern that matches the name of
  a tensor decides; * stands for any characters, ? for one, # opens a comment.
    *.mlp.experts.*  affine-4-g64
    *gate.weight     keep
    *                affine-8-g64
  FORMAT is f32, f16, bf16, keep; for a folder mxfp4, mxfp8, nvfp4, or
  affine-BITS-gGROUP with 2, 3, 4, 5, 6 or 8 bits and groups of 32, 64 or 128
  weights; for GGUF one of its formats. Names are those of Hugging Face's folders.

Importance:
  With --importance, an error in a weight counts in proportion to the mean square
  of what it is multiplied by. `quern calibrate` records that. STATS may be of
  another checkpoint with the same matrices; others are refused.

Feedback:
  With --feedback, IN reads a text layer by layer as OUT is written, and what
  rounding a weight does to the products of its row is made up for in the weights
  that come after it, as far as inputs like those of the text go (GPTQ). Take a
  text of the kind that the model is used for. It takes the time of reading the
  text and of a factorisation for each matrix, and about 50 KB of memory a token
  of the text for an 80B model.

Report:
  --report compares OUT with IN when it is written: the error of each matrix, KL
  divergence, agreement and perplexity on a text, tool calls. `quern compare`
  does the same for two models that exist, and its --help says what is measured:
  here with activations in int8 where a kernel exists, there also without.

Interruption:
  OUT appears when it is complete. Until then a folder's files are in
  OUT.partial, and the same command again continues there; a GGUF file starts
  anew. Memory does not grow with the model.

Exit status:
  0 done, 1 failed (one line on stderr), 2 wrong usage.

Examples:
  quern quantize Qwen3-Next-80B-A3B-Instruct qwen-q8 --format mxfp4-q8
  quern quantize DIR OUT --recipe mine.txt --fast
  quern quantize DIR model.gguf --format q4_k_m
  quern quantize model.gguf DIR --format bf16
  quern quantize DIR OUT --format qx86-hi --report quality.html

docs/quantise.md has sizes, and what each format costs.)";

std::string help() {
  std::string text(kAbout);
  const auto recipes = [&](ModelContainer container) {
    for (const BuiltinRecipe& recipe : builtin_recipes(container))
      text += fmt::format("  {:<10} {}\n", recipe.name, recipe.summary);
  };
  recipes(ModelContainer::folder);
  text += "\nFormats of a GGUF file:\n";
  recipes(ModelContainer::gguf);
  std::vector<std::string> formats = recipe_names(ModelContainer::gguf);
  formats.erase(formats.begin(), formats.begin() + std::ssize(builtin_recipes(ModelContainer::gguf)));
  text += fmt::format("  {}\n             that for every matrix but the small ones\n", fmt::join(formats, ", "));
  return text += kDetails;
}

std::vector<std::string> all_recipe_names() {
  std::vector<std::string> names = recipe_names(ModelContainer::folder);
  for (std::string& name : recipe_names(ModelContainer::gguf))
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  return names;
}

// A format that exists, but not for what is written.
void check_format(const Options& o) {
  if (o.packed && o.container() == ModelContainer::gguf)
    throw CLI::ValidationError("--packed", "a GGUF file cannot be packed; a folder can");
  if (o.format.empty()) return;
  if (const auto recipe = Recipe::builtin(o.format, o.container()); !recipe)
    throw CLI::ValidationError("--format",
                               fmt::format("{} ({})", recipe.error().message,
                                           o.container() == ModelContainer::gguf ? "a GGUF file" : "a folder; --to gguf has more"));
}

}  // namespace

void add_quantize_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "quantize", "Write a model in a smaller format");
  command->footer(help());
  command->add_option("IN", o->in, "Model folder or GGUF file to read")->required();
  command->add_option("OUT", o->out, "Folder or GGUF file to write")->required();
  command->add_option("--to", o->to, "folder or gguf; absent: as OUT's name says")->check(CLI::IsMember({"folder", "gguf"}));
  CLI::Option* format = command->add_option("--format", o->format, "One of the formats below")
                            ->check(CLI::IsMember(all_recipe_names()).description(""));
  CLI::Option* recipe =
      command->add_option("--recipe", o->recipe, "A file with a format for each kind of matrix")->excludes(format);
  CLI::Option* fast =
      command->add_flag("--fast", o->fast, "Scales from the range, not searched for: ten to fifty times faster, larger error");
  CLI::Option* importance =
      command->add_option("--importance", o->importance, "Statistics of `quern calibrate`, to weigh errors by")->excludes(fast);
  CLI::Option* feedback = command
                              ->add_flag("--feedback", o->feedback,
                                         "IN reads a text, and rounding errors are made up for (GPTQ): slower, smaller error")
                              ->excludes(importance);
  command->add_option("--feedback-text", o->feedback_text, "That text: .jsonl (conversations) or plain; absent: a built-in sample")
      ->needs(feedback);
  command->add_option("--feedback-tokens", o->feedback_tokens, "Tokens of it, at most; each takes memory")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 24))
      ->capture_default_str()
      ->needs(feedback);
  command->add_flag("--force", o->force, "Replace OUT if it is a model folder or a GGUF file");
  command->add_flag("--packed", o->packed, "Rows as quern's kernels read them: faster here, and nothing else reads the folder");
  command->add_flag("--no-mtp", o->no_mtp, "Leave the multi-token prediction block out");
  CLI::Option* report =
      command->add_option("--report", o->comparison.report, "Afterwards, measure what was lost: FILE.json or FILE.html");
  command->add_option("--report-text", o->comparison.text, "Text for the report: .jsonl (conversations) or plain; absent: built in")
      ->needs(report);
  command->add_option("--report-episodes", o->comparison.episodes, "Tool-calling episodes of the report; 0: none")
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}))
      ->capture_default_str()
      ->needs(report);
  command->add_option("-t,--threads", o->threads, "Threads; absent: one for each physical core this process may use")
      ->check(CLI::Range(1, 1024));
  command->callback([o, format, recipe, &body] {
    if (format->empty() && recipe->empty()) throw CLI::RequiredError("--format or --recipe");
    check_format(*o);
    body = [o]() -> Result<int> {
      QUERN_ASSIGN(const auto path, named_model(o->in));
      o->in = path;
      return quantize_model(*o);
    };
  });
}

}  // namespace quern
