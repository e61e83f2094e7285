// quern compare: what a model lost against the one it was made from.
#include "comparison.h"
#include "models.h"

namespace quern {
namespace {

struct Options {
  CommonOptions common;
  ComparisonOptions comparison;
  std::string source, result, result_kv;
  bool json = false;
};

Result<int> compare(Options o) {
  if (!o.result_kv.empty()) o.comparison.result_kv = kv_named(o.result_kv);
  QUERN_TRY(o.comparison.check_report({o.source, o.result}));
  QUERN_ASSIGN(const EngineOptions engine, o.common.engine_for(o.source));
  QUERN_ASSIGN(const QualityReport report, compare_models(o.source, o.result, engine, o.comparison));
  QUERN_TRY(o.comparison.write_report(report));
  QUERN_TRY(print_out(o.json ? quality_json(report).dump() + "\n" : quality_text(report)));
  return kSuccess;
}

constexpr std::string_view kHelp = R"(RESULT is SOURCE stored otherwise: quantised, converted, repacked. Three things
are measured.

Predictions:
  Both models read the same text, side by side. After each token their
  distributions over the next one are compared: the mean KL divergence in nats
  (what RESULT's prediction loses against SOURCE's), how often both find the same
  token likeliest, and the perplexity of each. Without --text the text is the same
  each time: conversations with tool calls, made by the generator of `quern eval
  tools` from words that pebble's training never had; for a model without tool
  calls, a page of prose. Where there are conversations, what the assistant says
  is counted by itself as well. Where this machine has kernels for it, quantised
  weights are multiplied with activations rounded to int8, and that rounding is
  part of what is measured, as it is part of what RESULT will compute here. With
  --ops reference it is not: the weights alone are measured, slowly.

Weights:
  The error of each matrix, relative to its size. The experts of a layer are one.

  What a smaller key-value cache costs is measured with one model as both:
  --kv is SOURCE's cache then, and --result-kv RESULT's.

Tool calls:
  Chains of calls over mocked services, as `quern eval tools` plays them. Left out
  for models that have no tool calls, and with --episodes 0.

--report writes all of it to a file: FILE.json, or FILE.html, a page with charts
that needs nothing from elsewhere.

Exit status:
  0 done, whatever was found; 1 failed (one line on stderr); 2 wrong usage.

Examples:
  quern compare Qwen3-Next-80B-A3B-Instruct qwen-q8 --report quality.html
  quern compare models/pebble DIR --text notes.txt --episodes 0 --json
  quern compare models/pebble DIR --ops reference --tokens 1024 --episodes 0
  quern compare models/pebble models/pebble --kv f32 --result-kv int8)";

}  // namespace

void add_compare_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "compare", "Measure what a quantised model lost against its source");
  command->footer(std::string(kHelp));
  command->add_option("SOURCE", o->source, "Model folder or .gguf file that RESULT was made from")->required();
  command->add_option("RESULT", o->result, "Model folder or .gguf file to judge")->required();
  o->comparison.add_to(*command);
  command->add_option("--report", o->comparison.report, "Write everything to this file too, .json or .html");
  command->add_flag("--json", o->json, "One JSON document on standard output");
  o->common.add_engine_to(*command, "f32");
  command->add_option("--result-kv", o->result_kv, "Precision of RESULT's key-value cache; absent: as --kv")
      ->check(CLI::IsMember({"f32", "bf16", "int8"}))
      ->group("Model");
  command->callback([o, &body] {
    body = [o]() -> Result<int> {
      for (std::string* model : {&o->source, &o->result}) {
        QUERN_ASSIGN(const auto path, named_model(*model));
        *model = path;
      }
      return compare(*o);
    };
  });
}

}  // namespace quern
