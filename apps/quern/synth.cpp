// quern synth: a synthetic checkpoint of any size, for benchmarks and tests.
#include "convert/synth.h"

#include "base/file.h"
#include "command.h"

namespace quern {
namespace {

struct Options {
  std::string config, out, format = "bf16";
  bool mtp = false;
};

Result<int> synth(const Options& o) {
  SynthOptions options;
  std::error_code ignored;
  if (std::filesystem::is_regular_file(o.config, ignored)) {
    QUERN_ASSIGN(const std::string text, read_file(o.config, size_t{16} << 20));
    QUERN_ASSIGN(options.config, Json::parse(text, o.config));
  } else {
    QUERN_ASSIGN(options.config, synth_preset(o.config));
  }
  options.with_mtp = o.mtp;
  Progress progress("writing " + o.out);
  options.on_progress = [&](double done, double total) { progress.update(done, total); };
  QUERN_TRY(synthesise(options, o.out));
  return kSuccess;
}

}  // namespace

void add_synth_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "synth", "Make a synthetic checkpoint of any size");
  command->footer(
      "Example:\n  quern synth mini /tmp/mini --mtp\n\nWeights are procedural: the same everywhere, bit for bit. Presets: tiny, "
      "mini, slice4 (14.4 GB), slice8, full80 (160 GB).");
  command->add_option("CONFIG", o->config, "A config.json, or a preset")->required();
  command->add_option("OUT", o->out, "Folder to write")->required();
  command->add_option("--format", o->format, "Weights' format")->check(CLI::IsMember({"bf16"}))->capture_default_str();
  command->add_flag("--mtp", o->mtp, "With the multi-token prediction block");
  command->callback([o, &body] { body = [o] { return synth(*o); }; });
}

}  // namespace quern
