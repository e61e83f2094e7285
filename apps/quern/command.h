// What the subcommands share: the options every command has, how an error ends the program, and where a model is found.
// This folder is the only place that reads flags, the environment and the terminal.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/engine.h"
#include "text/tokenizer.h"

namespace quern {

// Exit codes of the contract: 0 success, 1 failure (one line on stderr), 2 wrong usage.
enum Exit { kSuccess = 0, kFailure = 1, kUsage = 2 };

// The subcommand's body; CLI11 has parsed by then. Its result becomes the exit code.
using Body = std::function<Result<int>()>;

// --model, -t, --ops, --isa, --kv, --context, --yarn, --template.
struct CommonOptions {
  std::string model;  // empty: the embedded one
  int threads = 0;
  std::string ops = "cpu", isa, kv, chat_template;
  int64_t context = 0;
  double yarn = 0;

  void add_to(CLI::App& app, const std::string& default_kv);
  void add_engine_to(CLI::App& app, const std::string& default_kv);  // all but --model, for commands whose models are no option
  Result<EngineOptions> engine() const;
  Result<EngineOptions> engine_for(const std::filesystem::path& model) const;
};

// What --kv says: f32, bf16 or int8, which flags are checked to be.
KvFormat kv_named(std::string_view name);
std::string_view kv_name(KvFormat format);

// The folder or file of --model, which may be a name in the catalogue (models.h), or the embedded model's folder when none was named.
Result<std::filesystem::path> find_model(const std::string& named);
// The tokenizer of --tokenizer (a file, a folder, a GGUF file), or the model's.
Result<Tokenizer> find_tokenizer(const std::string& named, const std::string& model);

// A subcommand of `app`. Only command.cpp makes one: whoever makes a CLI::App compiles all of CLI11, which takes ten seconds.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& description);

// Every add_*_command declares its flags and help on `app` and leaves what to do in `body` when it is chosen.
void add_generate_command(CLI::App& app, Body& body);
void add_logits_command(CLI::App& app, Body& body);
void add_tokenize_command(CLI::App& app, Body& body);
void add_render_command(CLI::App& app, Body& body);
void add_inspect_command(CLI::App& app, Body& body);
void add_synth_command(CLI::App& app, Body& body);
void add_quantize_command(CLI::App& app, Body& body);
void add_calibrate_command(CLI::App& app, Body& body);
void add_compare_command(CLI::App& app, Body& body);
void add_bench_command(CLI::App& app, Body& body);
void add_eval_command(CLI::App& app, Body& body);
void add_eval_needle_command(CLI::App& eval, Body& body);  // called by add_eval_command, as is the next
void add_eval_bfcl_command(CLI::App& eval, Body& body);
void add_run_command(CLI::App& app, Body& body);
void add_mcp_command(CLI::App& app, Body& body);
void add_serve_command(CLI::App& app, Body& body);
void add_ask_command(CLI::App& app, Body& body);
void add_chat_command(CLI::App& app, Body& body);
void add_report_command(CLI::App& app, Body& body);
void add_schema_command(CLI::App& app, Body& body);
void add_pull_command(CLI::App& app, Body& body);
void add_list_command(CLI::App& app, Body& body);
void add_rm_command(CLI::App& app, Body& body);
void add_doctor_command(CLI::App& app, Body& body);

// What `quern` alone says: what it can do, with which models, on this machine.
Result<int> welcome();

// "1,2,3" or whitespace between; each a non-negative integer that fits 31 bits.
Result<std::vector<int32_t>> parse_ids(std::string_view text, std::string_view where);

// JSON and results to stdout, whole; a broken pipe or a full disk is an error, not silence.
Result<void> print_out(std::string_view text);

// A line on stderr that is redrawn in place, only on a terminal: "label  42 %  12 s left".
class Progress {
 public:
  explicit Progress(std::string label);
  ~Progress();
  void update(double done, double total);

 private:
  std::string label_;
  bool terminal_;
  double start_, shown_ = 0;
};

}  // namespace quern
