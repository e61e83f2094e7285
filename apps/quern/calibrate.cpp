// quern calibrate: statistics of what a model's matrices are multiplied by, for `quern quantize --importance`.
#include "convert/calibrate.h"

#include "base/file.h"
#include "models.h"
#include "trial.h"

namespace quern {
namespace {

struct Options {
  CommonOptions common;
  std::string model, text, out;
  int64_t tokens = 32768;
};

Result<int> calibrate_model(const Options& o) {
  QUERN_TRY(InputStatistics::check_target(o.out));  // found out before the work
  QUERN_TRY(AtomicFile::create(o.out).map([](const AtomicFile&) {}));
  QUERN_ASSIGN(const EngineOptions options, o.common.engine_for(o.model));
  QUERN_ASSIGN(const auto engine, Engine::load(options));
  QUERN_ASSIGN(
      const Sample sample,
      sample_for(*engine, {.file = o.text, .split = Split::training, .max_tokens = o.tokens, .context = engine->context()}));
  Progress progress("reading " + sample.source);
  const auto update = [&](double done, double total) { progress.update(done, total); };
  QUERN_ASSIGN(const InputStatistics statistics, calibrate(*engine, sample.ids(), update));
  QUERN_TRY(statistics.save(o.out));
  std::string text =
      fmt::format("{}: {} tokens of {}, {} matrices\n", o.out, statistics.tokens(), sample.source, statistics.matrices());
  if (const int64_t few = statistics.experts_with_few_tokens(); few > 0)
    text += fmt::format("note: {} experts saw fewer than {} tokens; quantize gives them their layer's mean\n", few,
                        InputStatistics::kFewTokens);
  QUERN_TRY(print_out(text));
  return kSuccess;
}

constexpr std::string_view kHelp = R"(MODEL reads a text, and for each column of each matrix the mean square of what
it is multiplied by is recorded: for a routed expert over the tokens that were
routed to it. `quern quantize --importance STATS` weighs errors by that.

Text:
  FILE.jsonl has a conversation a line, {"messages": [...], "tools": [...]}, or
  {"text": "..."}. Any other file is plain text, read in documents of 2,048 tokens.
  Without --text, models with tool calls read conversations that the generator of
  `quern eval tools` makes from its training words, others a page of prose. Take a
  text of the kind that the model is used for: what its experts see of another
  kind says little.

Statistics:
  A safetensors file with a vector of 32-bit floats for each matrix, under its
  published name. Experts that saw fewer than 32 tokens are quantised by the mean
  of their layer's. It appears when it is complete. Of the files that exist, only
  statistics are replaced.

Exit status:
  0 done, 1 failed (one line on stderr), 2 wrong usage.

Examples:
  quern calibrate Qwen3-Next-80B-A3B-Instruct -o qwen.stats --text chats.jsonl
  quern quantize Qwen3-Next-80B-A3B-Instruct OUT --format mxfp4 --importance qwen.stats)";

}  // namespace

void add_calibrate_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "calibrate", "Record what a model's matrices are multiplied by");
  command->footer(std::string(kHelp));
  command->add_option("MODEL", o->model, "Model folder or .gguf file")->required();
  command->add_option("--out,-o", o->out, "File to write the statistics to")->required();
  command->add_option("--text", o->text, "Text to read: .jsonl (conversations) or plain; absent: a built-in sample");
  command->add_option("--tokens", o->tokens, "Tokens of it, at most")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 32))
      ->capture_default_str();
  o->common.add_engine_to(*command, "f32");
  command->callback([o, &body] {
    body = [o]() -> Result<int> {
      QUERN_ASSIGN(const auto path, named_model(o->model));
      o->model = path;
      return calibrate_model(*o);
    };
  });
}

}  // namespace quern
