// quern generate: continues a prompt, plain or as one JSON document.
#include <csignal>

#include "base/file.h"
#include "base/json.h"
#include "command.h"
#include "constrain/constraint.h"
#include "token_input.h"

namespace quern {
namespace {

volatile std::sig_atomic_t interrupted = 0;

struct Options {
  CommonOptions common;
  TokenInput input;
  int64_t max_tokens = 256;
  std::optional<double> temperature, top_p, min_p;
  std::optional<int64_t> top_k;
  uint64_t seed = 0;
  std::vector<std::string> stop;
  bool ignore_eos = false, json = false;
  // What the text must be: at most one of them.
  std::string schema, grammar, regex, formats = "assert";
  bool any_json = false;
};

constexpr size_t kMaxConstraintBytes = size_t{64} << 20;

// A file's name, or the schema itself: an object, true or false.
Result<Json> read_schema(const std::string& named) {
  const size_t first = named.find_first_not_of(" \t\r\n");
  std::error_code ignored;
  const bool is_text = first != std::string::npos && (named[first] == '{' || named == "true" || named == "false");
  if (is_text && !std::filesystem::is_regular_file(named, ignored)) return Json::parse(named, "--schema", {.max_depth = 1000});
  QUERN_ASSIGN(const std::string text, read_file(named, kMaxConstraintBytes));
  return Json::parse(text, named, {.max_depth = 1000});
}

// nullptr: the text is free.
Result<std::unique_ptr<Machine>> compile_constraint(const Options& o) {
  if (!o.schema.empty()) {
    QUERN_ASSIGN(const Json schema, read_schema(o.schema));
    SchemaMachineOptions options;
    options.schema = {.assert_formats = o.formats == "assert", .numbers = NumberSpelling::shortest};
    return compile_schema(schema, options);
  }
  if (!o.grammar.empty()) {
    QUERN_ASSIGN(const std::string gbnf, read_file(o.grammar, kMaxConstraintBytes));
    auto machine = compile_grammar(gbnf);
    if (!machine) return with_context(machine.error(), o.grammar);
    return machine;
  }
  if (!o.regex.empty()) return compile_regex(o.regex);
  if (o.any_json) return compile_any_json();
  return nullptr;
}

Json as_json(const Generation& result, bool constrained) {
  constexpr std::string_view kFinish[] = {"stop", "length", "context", "cancelled"};
  Json tokens = Json::array(), timings = Json::object(), out = Json::object();
  for (const int32_t id : result.tokens) tokens.push_back(id);
  timings["prefill_s"] = result.prefill_s;
  timings["decode_s"] = result.decode_s;
  timings["prefill_tps"] = static_cast<double>(result.prompt_tokens - result.reused_tokens) / std::max(result.prefill_s, 1e-9);
  timings["decode_tps"] = static_cast<double>(result.tokens.size()) / std::max(result.decode_s, 1e-9);
  if (constrained) timings["constrain_s"] = result.constrain_s;
  out["tokens"] = std::move(tokens);
  out["text"] = result.text;
  out["prompt_tokens"] = result.prompt_tokens;
  out["finish_reason"] = kFinish[static_cast<size_t>(result.finish)];
  if (constrained) {
    out["forced_tokens"] = result.forced_tokens;
    out["complete"] = result.complete;
  }
  out["timings"] = std::move(timings);
  return out;
}

Result<int> generate(const Options& o) {
  QUERN_ASSIGN(auto machine, compile_constraint(o));
  QUERN_ASSIGN(const EngineOptions engine_options, o.common.engine());
  QUERN_ASSIGN(const auto engine, Engine::load(engine_options));
  GenerateRequest request;
  QUERN_ASSIGN(request.prompt, o.input.ids(engine->tokenizer(), engine_options.model));
  request.sampling = engine->default_sampling();
  if (o.temperature) request.sampling.temperature = *o.temperature;
  if (o.top_p) request.sampling.top_p = *o.top_p;
  if (o.top_k) request.sampling.top_k = *o.top_k;
  if (o.min_p) request.sampling.min_p = *o.min_p;
  request.sampling.seed = o.seed;
  request.max_tokens = o.max_tokens;
  request.stop = o.stop;
  request.ignore_eos = o.ignore_eos;
  std::optional<Matcher> constraint;
  if (machine) {
    if (!engine->tokenizer())
      return fail(Errc::not_found, "{}: no tokenizer: there is no text to constrain", engine_options.model.string());
    constraint.emplace(std::move(machine), engine->vocabulary());
    request.constraint = &*constraint;
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  bool wrote = true;
  std::optional<Progress> reading("reading the prompt");
  request.on_prefill = [&](int64_t done, int64_t total) {
    if (done < total)
      reading->update(static_cast<double>(done), static_cast<double>(total));
    else
      reading.reset();
    return interrupted == 0;
  };
  request.on_token = [&](const GeneratedToken& token) {
    if (!o.json && !token.text.empty()) wrote = print_out(token.text).has_value();
    return wrote && interrupted == 0;
  };
  Session session(*engine);
  QUERN_ASSIGN(const Generation result, session.generate(request));
  if (!wrote) return fail(Errc::io, "cannot write to standard output");
  if (o.json) {
    QUERN_TRY(print_out(as_json(result, constraint.has_value()).dump() + "\n"));
  } else if (!result.text.empty() && !result.text.ends_with('\n')) {
    QUERN_TRY(print_out("\n"));
  }
  return interrupted ? 130 : kSuccess;
}

}  // namespace

void add_generate_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "generate", "Continue a prompt");
  command->footer(
      "Examples:\n"
      "  quern generate --prompt 'Once upon a time' --max-tokens 40\n"
      "  quern generate --prompt 'The weather in Bern: ' --schema '{\"type\": \"object\", \"properties\": {\"celsius\": {\"type\": "
      "\"integer\"}},\n"
      "    \"required\": [\"celsius\"], \"additionalProperties\": false}'\n"
      "  quern generate --prompt 'Yes or no? ' --regex 'yes|no'\n\n"
      "The prompt is taken as it is, special tokens included; `quern render` makes chat prompts. Under a constraint the model "
      "can write\n"
      "nothing else: the text is what was asked for unless --max-tokens cuts it (\"complete\" in the JSON document says so).\n"
      "docs/constrain.md says what can be asked for.");
  o->input.add_to(*command, /*with_prompt=*/true);
  command->add_option("--max-tokens", o->max_tokens, "Stop after this many tokens")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  command->add_option("--temperature", o->temperature, "0 is greedy; absent: generation_config.json")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--top-p", o->top_p, "Keep the likeliest tokens up to this probability")->check(CLI::Range(0.0, 1.0));
  command->add_option("--top-k", o->top_k, "Keep this many of the likeliest tokens; 0 keeps all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 31));
  command->add_option("--min-p", o->min_p, "Drop tokens less likely than this share of the likeliest")->check(CLI::Range(0.0, 1.0));
  command->add_option("--seed", o->seed, "Seed of the sampler")->capture_default_str();
  command->add_option("--stop", o->stop, "Stop before this text; may be given again");
  auto* ignore_eos = command->add_flag("--ignore-eos", o->ignore_eos, "Go on after end-of-turn tokens");
  CLI::Option_group* text = command->add_option_group("Constraint", "What the text must be, at most one of:");
  auto* schema = text->add_option("--schema", o->schema, "JSON that satisfies this JSON Schema: a file, or the schema itself");
  text->add_option("--grammar", o->grammar, "Text of this GBNF grammar, a file");
  text->add_option("--regex", o->regex, "Text that this pattern matches as a whole (ECMA-262)");
  text->add_flag("--any-json", o->any_json, "Any JSON value");
  text->require_option(0, 1);
  for (CLI::Option* option : text->get_options()) option->excludes(ignore_eos);
  command->add_option("--formats", o->formats, "What the schema's format means: assert or ignore")
      ->check(CLI::IsMember({"assert", "ignore"}))
      ->capture_default_str()
      ->needs(schema);
  command->add_flag("--json", o->json, "One JSON document instead of the text");
  o->common.add_to(*command, "bf16");
  command->callback([o, &body] { body = [o] { return generate(*o); }; });
}

}  // namespace quern
