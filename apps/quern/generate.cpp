// quern generate: continues a prompt, plain or as one JSON document.
#include <csignal>

#include "base/file.h"
#include "base/json.h"
#include "command.h"
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
};

Result<int> generate(const Options& o) {
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
  request.on_token = [&](int32_t, std::string_view text) {
    if (!o.json && !text.empty()) wrote = print_out(text).has_value();
    return wrote && interrupted == 0;
  };
  Session session(*engine);
  QUERN_ASSIGN(const Generation result, session.generate(request));
  if (!wrote) return fail(Errc::io, "cannot write to standard output");
  if (o.json) {
    constexpr std::string_view kFinish[] = {"stop", "length", "context", "cancelled"};
    Json tokens = Json::array(), timings = Json::object(), out = Json::object();
    for (const int32_t id : result.tokens) tokens.push_back(id);
    timings["prefill_s"] = result.prefill_s;
    timings["decode_s"] = result.decode_s;
    timings["prefill_tps"] = static_cast<double>(result.prompt_tokens - result.reused_tokens) / std::max(result.prefill_s, 1e-9);
    timings["decode_tps"] = static_cast<double>(result.tokens.size()) / std::max(result.decode_s, 1e-9);
    out["tokens"] = std::move(tokens);
    out["text"] = result.text;
    out["prompt_tokens"] = result.prompt_tokens;
    out["finish_reason"] = kFinish[static_cast<size_t>(result.finish)];
    out["timings"] = std::move(timings);
    QUERN_TRY(print_out(out.dump() + "\n"));
  } else if (!result.text.empty() && !result.text.ends_with('\n')) {
    QUERN_TRY(print_out("\n"));
  }
  return interrupted ? 130 : kSuccess;
}

}  // namespace

void add_generate_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("generate", "Continue a prompt");
  command->footer(
      "Example:\n  quern generate --prompt 'Once upon a time' --max-tokens 40\n\n"
      "The prompt is taken as it is, special tokens included; `quern render` makes chat prompts.");
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
  command->add_flag("--ignore-eos", o->ignore_eos, "Go on after end-of-turn tokens");
  command->add_flag("--json", o->json, "One JSON document instead of the text");
  o->common.add_to(*command, "bf16");
  command->callback([o, &body] { body = [o] { return generate(*o); }; });
}

}  // namespace quern
