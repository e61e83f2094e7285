// quern eval needle: whether a model finds one fact in a long prompt, by length and depth.
#include <algorithm>
#include <optional>

#include "agent/needle_player.h"
#include "base/json.h"
#include "trial.h"

namespace quern {
namespace {

struct Options {
  CommonOptions common;
  std::vector<int64_t> lengths;
  std::vector<double> depths = {0, 25, 50, 75, 100};  // per cent
  int64_t max_length = 0, trials = 10;
  uint64_t seed = 1;
  std::string kind = "auto", split = "training", svg;
  bool json = false, verbose = false;
};

template <typename T>
std::vector<T> ascending(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

Result<NeedlePlan> plan_for(const Engine& engine, const Options& o) {
  NeedlePlan plan{.trials = o.trials, .seed = o.seed, .split = split_named(o.split)};
  if (o.kind == "auto") {
    QUERN_ASSIGN(plan.kind, choose_needle_kind(engine, plan.split));
  } else {
    plan.kind = o.kind == "tools" ? NeedleKind::tools : NeedleKind::prose;
  }
  const int64_t longest = engine.context() - needle_room(plan.kind, engine.chat_format());
  plan.lengths = !o.lengths.empty() ? ascending(o.lengths) : needle_lengths(plan.kind, o.max_length > 0 ? o.max_length : longest);
  for (const double depth : ascending(o.depths)) plan.depths.push_back(depth / 100);
  return plan;
}

std::string heading(const NeedlePlan& plan, const Options& o) {
  return fmt::format("Needle in a haystack of {}: {} {} a cell, {} words, seed {}", needle_kind_name(plan.kind), plan.trials,
                     plan.trials == 1 ? "trial" : "trials", o.split, o.seed);
}

Json as_json(const NeedleGrid& grid, const NeedleWork& work, const Options& o) {
  Json out = needle_json(grid), timings = Json::object();
  out["kind_chosen"] = o.kind == "auto" ? "by trying" : "by --kind";
  out["split"] = o.split;
  out["trials_per_cell"] = o.trials;
  out["seed"] = static_cast<int64_t>(o.seed);
  out["prompt_tokens"] = work.prompt_tokens;
  out["tokens"] = work.tokens;
  timings["prefill_s"] = work.prefill_s;
  timings["decode_s"] = work.decode_s;
  out["timings"] = std::move(timings);
  return out;
}

void say_missed(const NeedleRequest& request, const NeedleTask& task, const std::string& reply) {
  const std::string wanted = request.kind == NeedleKind::prose ? task.value : task.call.name + " " + task.call.arguments.dump();
  fmt::print(stderr, "{} tokens, depth {:g} %: expected {}, got {}\n", task.tokens, 100 * request.depth, wanted,
             Json(reply).dump());
}

Result<int> eval_needle(const Options& o) {
  QUERN_ASSIGN(const auto engine, load_reader(o.common));
  QUERN_ASSIGN(auto chart, open_chart(o.svg));
  QUERN_ASSIGN(const NeedlePlan plan, plan_for(*engine, o));
  NeedleWork work;
  std::optional<Progress> progress("looking for needles");
  NeedleEvents events{.progress = [&](double done, double total) { progress->update(done, total); }, .missed = {}};
  if (o.verbose) events.missed = say_missed;
  QUERN_ASSIGN(const NeedleGrid grid, find_needles(*engine, plan, events, work));
  progress.reset();
  const std::string title = heading(plan, o);
  QUERN_TRY(print_out(o.json ? as_json(grid, work, o).dump() + "\n" : title + "\n\n" + needle_text(grid)));
  if (chart) {
    QUERN_TRY(chart->write(needle_svg(title, grid)));
    QUERN_TRY(chart->commit());
  }
  return kSuccess;
}

constexpr std::string_view kHelp = R"(A prompt of a chosen length holds one fact, the needle, at a chosen depth: the
share of the haystack that stands before it. The model's next turn needs it.

Kinds:
  prose  made-up sentences, one of which says a number that a question at the
         end asks for. Right when the answer contains the number.
  tools  a conversation with the file tools as `quern eval tools` makes them:
         earlier turns, a request that says which files belong into which folder,
         moves of other files. The next move needs a folder that the request alone
         names. Right when the call is exactly that; it is constrained, as in
         `quern run`. The kind for models that know nothing but tool calls, pebble.
  auto   prose where the model finds two of three needles without any haystack;
         else tools, if it has tool calls.

Decoding is greedy. A trial has the same needle in every cell; the same options
give the same result, whatever the number of threads. A cell costs --trials
prompts of its length.

Exit status:
  0 done, whatever was found; 1 failed (one line on stderr); 2 wrong usage.

Examples:
  quern eval needle --max-length 8192
  quern eval needle --model DIR --lengths 4000,32000,128000 --trials 3 --svg f.svg)";

}  // namespace

void add_eval_needle_command(CLI::App& eval, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* needle = add_command(eval, "needle", "Retrieval: one fact in a long prompt, by length and depth");
  needle->footer(std::string(kHelp));
  auto* lengths =
      needle->add_option("--lengths", o->lengths, "Tokens of the prompts; absent: 1024 (tools: 2048), doubled up to the context")
          ->delimiter(',')
          ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  needle->add_option("--max-length", o->max_length, "Where the doubling ends; absent: the context less room for an answer")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->excludes(lengths);
  needle->add_option("--depths", o->depths, "Shares of the haystack before the needle, in per cent")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  needle->add_option("--trials", o->trials, "Needles a cell")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}))
      ->capture_default_str();
  needle->add_option("--seed", o->seed, "Seed of needles and haystacks")->capture_default_str();
  needle->add_option("--kind", o->kind, "prose, tools, or auto: what the model can do")
      ->check(CLI::IsMember({"auto", "prose", "tools"}))
      ->capture_default_str();
  needle->add_option("--split", o->split, "Words of training or held-out; pebble was trained on the former")
      ->check(CLI::IsMember({"held-out", "training"}))
      ->capture_default_str();
  needle->add_option("--svg", o->svg, "Draw the heat map into this file");
  needle->add_flag("--verbose", o->verbose, "Say on stderr what was said instead of each needle that was missed");
  needle->add_flag("--json", o->json, "One JSON document with every cell");
  o->common.add_to(*needle, "bf16");
  needle->callback([o, &body] { body = [o] { return eval_needle(*o); }; });
}

}  // namespace quern
