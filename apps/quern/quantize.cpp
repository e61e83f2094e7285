// quern quantize: a model folder with its matrices in smaller formats.
#include "convert/quantize.h"

#include <optional>

#include "base/file.h"
#include "comparison.h"

namespace quern {
namespace {

struct Options {
  std::string in, out, format, recipe, importance;
  bool fast = false, force = false;
  int threads = 0;
  ComparisonOptions comparison;  // where it has a report
};

std::string gigabytes(int64_t bytes) { return fmt::format("{:.3f} GB", static_cast<double>(bytes) / 1e9); }

double bits_per_weight(const QuantizeReport::Tally& tally) {
  return tally.weights > 0 ? 8 * static_cast<double>(tally.bytes) / static_cast<double>(tally.weights) : 0;
}

std::string as_text(const QuantizeReport& r, const std::string& out) {
  std::string text = fmt::format("{:<20}{:>10}{:>16}{:>14}{:>10}\n", "matrices", "tensors", "weights", "size", "bits");
  const auto line = [&](std::string_view name, const QuantizeReport::Tally& t) {
    text += fmt::format("{:<20}{:>10}{:>16}{:>14}{:>10.2f}\n", name, t.tensors, t.weights, gigabytes(t.bytes), bits_per_weight(t));
  };
  for (const QuantizeReport::Tally& tally : r.matrices) line(quant_format_info(tally.format).name, tally);
  line("with vectors", r.total);
  text += fmt::format("\n{}: {} folder of {} files, {} from {}\n", out, r.layout == OutputLayout::mlx ? "MLX" : "Hugging Face",
                      r.files, gigabytes(r.total.bytes), gigabytes(r.source_bytes));
  if (r.resumed_files > 0) text += fmt::format("{} files were finished before\n", r.resumed_files);
  for (const std::string& note : r.notes) text += fmt::format("note: {}\n", note);
  return text;
}

Result<QuantizeReport> quantize_with_progress(const Options& o, QuantizeOptions options) {
  Progress progress("writing " + o.out);
  options.on_progress = [&](double done, double total) { progress.update(done, total); };
  ThreadPool pool(o.threads > 0 ? o.threads : ThreadPool::available_cores());
  return quantize(o.in, o.out, options, pool);
}

Result<void> report_quality(const Options& o) {
  QUERN_ASSIGN(const QualityReport report, compare_models(o.in, o.out, {.threads = o.threads, .kv = KvFormat::f32}, o.comparison));
  QUERN_TRY(o.comparison.write_report(report));
  return print_out("\n" + quality_text(report));
}

Result<int> quantize_folder(const Options& o) {
  QUERN_TRY(o.comparison.check_report());
  QuantizeOptions options;
  if (o.recipe.empty()) {
    QUERN_ASSIGN(options.recipe, Recipe::builtin(o.format));
  } else {
    QUERN_ASSIGN(const std::string text, read_file(o.recipe, size_t{1} << 20));
    QUERN_ASSIGN(options.recipe, Recipe::parse(text, o.recipe));
  }
  std::optional<InputStatistics> statistics;
  if (!o.importance.empty()) {
    QUERN_ASSIGN(statistics, InputStatistics::load(o.importance));
    options.importance = &*statistics;
  }
  options.search = o.fast ? ScaleSearch::none : ScaleSearch::full;
  options.replace = o.force ? Replace::model_folders : Replace::never;
  QUERN_ASSIGN(const QuantizeReport report, quantize_with_progress(o, std::move(options)));
  QUERN_TRY(print_out(as_text(report, o.out)));
  if (!o.comparison.report.empty()) QUERN_TRY(report_quality(o));
  return kSuccess;
}

constexpr std::string_view kAbout = R"(Writes OUT, an MLX folder whose matrices take fewer bits. IN is a Hugging Face
folder (bf16, f16, f32, block-FP8) or an MLX folder. With bf16 and f32, OUT is a
Hugging Face folder.

Formats:
)";

constexpr std::string_view kDetails = R"(
  All but qx86-hi, bf16 and f32 keep the router and the shared expert's gate as
  they are; all but bf16 and f32 keep the DeltaNet's in_proj_ba. Norms and other
  vectors are never quantised.

Recipes:
  A text file of lines PATTERN FORMAT. The first pattern that matches the name of
  a tensor decides; * stands for any characters, ? for one, # opens a comment.
    *.mlp.experts.*  affine-4-g64
    *gate.weight     keep
    *                affine-8-g64
  FORMAT is f32, f16, bf16, mxfp4, mxfp8, nvfp4, keep, or affine-BITS-gGROUP with
  2, 3, 4, 5, 6 or 8 bits and groups of 32, 64 or 128 weights.

Importance:
  With --importance, an error in a weight counts in proportion to the mean square
  of what it is multiplied by. `quern calibrate` records that. STATS may be of
  another checkpoint with the same matrices; others are refused.

Report:
  --report compares OUT with IN when it is written: the error of each matrix, KL
  divergence, agreement and perplexity on a text, tool calls. `quern compare`
  does the same for two models that exist, and its --help says what is measured.

Interruption:
  OUT appears when it is complete. Until then its files are in OUT.partial, and
  the same command again continues there. Memory does not grow with the model.

Exit status:
  0 done, 1 failed (one line on stderr), 2 wrong usage.

Examples:
  quern quantize Qwen3-Next-80B-A3B-Instruct qwen-q8 --format mxfp4-q8
  quern quantize DIR OUT --recipe mine.txt --fast
  quern quantize DIR OUT --format qx86-hi --report quality.html

docs/quantise.md has sizes, and what each format costs.)";

std::string help() {
  std::string text(kAbout);
  for (const BuiltinRecipe& recipe : builtin_recipes()) text += fmt::format("  {:<10} {}\n", recipe.name, recipe.summary);
  return text += kDetails;
}

}  // namespace

void add_quantize_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "quantize", "Write a model in a smaller format");
  command->footer(help());
  command->add_option("IN", o->in, "Model folder to read")->required();
  command->add_option("OUT", o->out, "Folder to write")->required();
  std::vector<std::string> names;
  for (const BuiltinRecipe& recipe : builtin_recipes()) names.emplace_back(recipe.name);
  CLI::Option* format = command->add_option("--format", o->format, "One of the formats below")->check(CLI::IsMember(names));
  CLI::Option* recipe =
      command->add_option("--recipe", o->recipe, "A file with a format for each kind of matrix")->excludes(format);
  CLI::Option* fast = command->add_flag(
      "--fast", o->fast, "Scales from the range, as MLX's own tools have them: four to fifty times faster, larger error");
  command->add_option("--importance", o->importance, "Statistics of `quern calibrate`, to weigh errors by")->excludes(fast);
  command->add_flag("--force", o->force, "Replace OUT if it is a model folder");
  CLI::Option* report =
      command->add_option("--report", o->comparison.report, "Afterwards, measure what was lost: FILE.json or FILE.html");
  command->add_option("--report-text", o->comparison.text, "Text for the report: .jsonl (conversations) or plain; absent: built in")
      ->needs(report);
  command->add_option("--report-episodes", o->comparison.episodes, "Tool-calling episodes of the report; 0: none")
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}))
      ->capture_default_str()
      ->needs(report);
  command->add_option("-t,--threads", o->threads, "Threads; absent: the cores this process may use")->check(CLI::Range(1, 1024));
  command->callback([o, format, recipe, &body] {
    if (format->empty() && recipe->empty()) throw CLI::RequiredError("--format or --recipe");
    body = [o] { return quantize_folder(*o); };
  });
}

}  // namespace quern
