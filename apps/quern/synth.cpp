// quern synth: a synthetic checkpoint of any size and format, for benchmarks and tests.
#include "convert/synth.h"

#include "base/cores.h"
#include "base/file.h"
#include "command.h"

namespace quern {
namespace {

struct Options {
  std::string config, out, format = "bf16";
  bool mtp = false, packed = false, force = false;
  int threads = 0;
};

Result<int> synth(const Options& o) {
  SynthOptions options{.with_mtp = o.mtp};
  std::error_code ignored;
  if (std::filesystem::is_regular_file(o.config, ignored)) {
    QUERN_ASSIGN(const std::string text, read_file(o.config, size_t{16} << 20));
    QUERN_ASSIGN(options.config, Json::parse(text, o.config));
  } else {
    QUERN_ASSIGN(options.config, synth_preset(o.config));
  }
  QUERN_ASSIGN(options.recipe, Recipe::builtin(o.format));
  if (o.packed) options.order = RowOrder::strips;
  if (o.force) options.replace = Replace::model_folders;
  std::vector<std::string> notes;
  {
    Progress progress("writing " + o.out);
    options.on_progress = [&](double done, double total) { progress.update(done, total); };
    ThreadPool pool(o.threads > 0 ? o.threads : available_cores());
    QUERN_ASSIGN(notes, synthesise(options, o.out, pool));
  }
  for (const std::string& note : notes) QUERN_TRY(print_out("note: " + note + "\n"));
  return kSuccess;
}

constexpr std::string_view kAbout = R"(Writes OUT, a model folder of CONFIG's shape whose weights are procedural: each
depends on its tensor's name and its index alone, the same everywhere, bit for
bit. They say nothing; the model is as fast and as large as a trained one.

Presets:
  tiny, mini   a few MB, for tests
  slice4       4 layers of the 80B model: 14.4 GB in bf16, 4.2 GB in mxfp4-q8
  slice8       8 layers
  full80       all 48 layers: 160 GB in bf16, 44 GB in mxfp4-q8

Formats:
)";

constexpr std::string_view kDetails = R"(
  OUT has the bytes that `quern quantize --fast` makes of the bf16 checkpoint:
  scales come from the range of the weights, none is searched for. The bf16
  checkpoint itself is not made. There is no tokenizer.

Interruption:
  OUT appears when it is complete. Until then its files are in OUT.partial, and
  the same command again continues there. Memory does not grow with the model.

Exit status:
  0 done, 1 failed (one line on stderr), 2 wrong usage.

Examples:
  quern synth mini /tmp/mini --mtp
  quern synth full80 /data/full80 --format mxfp4-q8 --packed
  quern synth Qwen3-Next-80B-A3B-Instruct/config.json OUT --format q4
)";

std::string help() {
  std::string text(kAbout);
  for (const BuiltinRecipe& recipe : builtin_recipes()) text += fmt::format("  {:<10} {}\n", recipe.name, recipe.summary);
  return text += kDetails;
}

}  // namespace

void add_synth_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "synth", "Make a synthetic checkpoint of any size");
  command->footer(help());
  command->add_option("CONFIG", o->config, "A config.json, or one of the presets below")->required();
  command->add_option("OUT", o->out, "Folder to write")->required();
  command->add_option("--format", o->format, "One of the formats below")
      ->check(CLI::IsMember(recipe_names(ModelContainer::folder)).description(""))
      ->capture_default_str();
  command->add_flag("--packed", o->packed, "Rows as quern's kernels read them: faster here, and nothing else reads the folder");
  command->add_flag("--mtp", o->mtp, "With the multi-token prediction block");
  command->add_flag("--force", o->force, "Replace OUT if it is a model folder");
  command->add_option("-t,--threads", o->threads, "Threads; absent: one for each physical core this process may use")
      ->check(CLI::Range(1, 1024));
  command->callback([o, &body] { body = [o] { return synth(*o); }; });
}

}  // namespace quern
