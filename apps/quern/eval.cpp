// quern eval tools: how well a model calls tools, and the same episodes as training data.
#include <map>
#include <optional>

#include "agent/episode_player.h"
#include "agent/sandbox/private_folder.h"
#include "base/json.h"
#include "eval/export.h"
#include "eval/survival_chart.h"
#include "trial.h"

namespace quern {
namespace {

struct Options {
  CommonOptions common;
  int64_t episodes = 100, length = 25, window = 8192;
  uint64_t seed = 1;
  std::string suite = "chain", split = "held-out", tool_choice = "auto", export_to, tokenizer, svg;
  std::optional<int64_t> resume_at;
  bool unconstrained = false, compare = false, json = false, verbose = false;
};

Result<int> export_episodes(const Options& o) {
  ExportRequest request{.split = split_named(o.split), .episodes = o.episodes, .length = o.length, .seed = o.seed};
  QUERN_ASSIGN(request.suite, parse_suite(o.suite));
  if (!o.common.chat_template.empty()) {
    QUERN_ASSIGN(request.format, parse_chat_format(o.common.chat_template));
  }
  if (request.format == ChatFormat::thinking)
    return fail(Errc::invalid_argument, "--export: --template instruct or coder; the episodes hold no reasoning");
  Progress progress("exporting");
  request.on_progress = [&](int64_t done, int64_t total) {
    progress.update(static_cast<double>(done), static_cast<double>(total));
  };
  if (o.export_to.ends_with(".jsonl")) {
    QUERN_TRY(export_jsonl(request, o.export_to));
    return kSuccess;
  }
  QUERN_ASSIGN(const Tokenizer tokenizer, find_tokenizer(o.tokenizer, o.common.model));
  QUERN_TRY(export_windows(request, tokenizer, o.window, o.export_to));
  return kSuccess;
}

// One way to play the episodes, and what came of it.
struct Run {
  bool constrained = true;
  ToolScores scores;
  std::map<std::string, ToolScores> by_kind;
  PlayWork work;

  std::string name() const { return constrained ? "constrained" : "unconstrained"; }
};

// The same episodes for every run.
Result<void> play_all(const Engine& engine, const Options& o, std::vector<Run>& runs) {
  QUERN_ASSIGN(const Suite suite, parse_suite(o.suite));
  Progress progress("evaluating");
  const auto total = static_cast<double>(o.episodes) * static_cast<double>(runs.size());
  double played = 0;
  std::optional<PrivateFolder> states;
  if (o.resume_at) {
    QUERN_ASSIGN(states, PrivateFolder::create());
  }
  for (int64_t i = 0; i < o.episodes; ++i) {
    const ToolEpisode episode = make_episode(suite, split_named(o.split), o.length, Random::mix(o.seed) + static_cast<uint64_t>(i));
    for (Run& run : runs) {
      PlayOptions options{.constrained = run.constrained, .choice = {}, .resume_at = o.resume_at, .state_file = {}};
      if (states) options.state_file = states->path() / "state";
      if (o.tool_choice == "required") options.choice.kind = ToolChoice::Kind::required;
      QUERN_ASSIGN(const EpisodeRecord record, play_episode(engine, episode, options, run.work));
      run.scores.add(record.scores);
      run.by_kind[episode.kind].add(record.scores);
      if (o.verbose && !record.difference.empty())
        fmt::print(stderr, "episode {} ({}, {}): {}\n", i, episode.kind, run.name(), record.difference);
      progress.update(++played, total);
    }
  }
  return {};
}

Json as_json(const Run& run, const Options& o) {
  const ToolScores& s = run.scores;
  Json failures = Json::array(), timings = Json::object(), out = Json::object();
  for (const EpisodeOutcome& outcome : s.outcomes)
    if (!outcome.complete) failures.push_back(outcome.right);
  out["suite"] = o.suite;
  out["split"] = o.split;
  out["calls"] = s.calls;
  out["expected"] = s.expected;
  out["malformed"] = s.malformed;
  out["exact"] = s.exact;
  out["episodes"] = s.episodes;
  out["complete"] = s.complete;
  out["done"] = s.done;
  out["cut"] = s.cut;
  out["first_failure"] = std::move(failures);
  for (const auto& [kind, scores] : run.by_kind) {
    Json& counts = out["kinds"][kind];
    counts["episodes"] = scores.episodes;
    counts["complete"] = scores.complete;
  }
  if (o.resume_at) {
    Json& resumed = out["resumed"];
    resumed["at"] = *o.resume_at;
    resumed["episodes"] = run.work.resumed;
    resumed["prompt_tokens"] = run.work.resumed_prompt_tokens;
    resumed["read_tokens"] = run.work.resumed_read_tokens;
  }
  out["survival"] = survival_json(survival_curve(s));
  out["constrained"] = run.constrained;
  out["tokens"] = run.work.tokens;
  out["forced_tokens"] = run.work.forced_tokens;
  timings["decode_s"] = run.work.decode_s;
  timings["constrain_s"] = run.work.constrain_s;
  timings["constrain_share"] = run.work.constrain_share();
  out["timings"] = std::move(timings);
  return out;
}

Json as_json(const std::vector<Run>& runs, const Options& o) {
  if (runs.size() == 1) return as_json(runs[0], o);
  Json out = Json::object();
  for (const Run& run : runs) out["runs"].push_back(as_json(run, o));
  return out;
}

// A line a count, a column a run.
std::string counts_text(const std::vector<Run>& runs, const Options& o) {
  const auto share = [](int64_t part, int64_t whole) {
    return whole > 0
               ? fmt::format("{} of {} ({:.2f} %)", part, whole, 100.0 * static_cast<double>(part) / static_cast<double>(whole))
               : std::string("none");
  };
  std::string out;
  const auto row = [&](std::string_view name, const auto& value) {
    std::string line = fmt::format("{:<21}", name);
    for (const Run& run : runs) line += fmt::format("{:<28}", value(run));
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  const auto count = [&](std::string_view name, int64_t ToolScores::* part, int64_t ToolScores::* whole) {
    row(name, [&](const Run& run) { return share(run.scores.*part, run.scores.*whole); });
  };
  if (runs.size() > 1) row("", [](const Run& run) { return run.name(); });
  row("calls, made", [](const Run& run) { return fmt::format("{}", run.scores.calls); });
  count("calls, malformed", &ToolScores::malformed, &ToolScores::calls);
  count("calls, exact", &ToolScores::exact, &ToolScores::expected);
  count("episodes, complete", &ToolScores::complete, &ToolScores::episodes);
  count("episodes, done", &ToolScores::done, &ToolScores::episodes);
  count("episodes, cut", &ToolScores::cut, &ToolScores::episodes);
  row("constraint", [](const Run& run) {
    return run.constrained ? fmt::format("{:.1f} % of decode time", 100 * run.work.constrain_share()) : std::string("off");
  });
  if (o.resume_at)
    row("episodes, resumed", [](const Run& run) {
      return fmt::format("{}, {} of {} tokens read", run.work.resumed, run.work.resumed_read_tokens,
                         run.work.resumed_prompt_tokens);
    });
  return out;
}

// Complete episodes by kind, where there are several kinds. Every run has the same ones.
std::string kinds_text(const std::vector<Run>& runs) {
  if (runs[0].by_kind.size() < 2) return {};
  std::string out = "\ncomplete, by kind\n";
  for (const auto& [kind, first] : runs[0].by_kind) {
    std::string line = fmt::format("  {:<19}", kind);
    for (const Run& run : runs)
      line += fmt::format("{:<28}", fmt::format("{} of {}", run.by_kind.at(kind).complete, first.episodes));
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::vector<NamedCurve> curves_of(const std::vector<Run>& runs) {
  std::vector<NamedCurve> curves;
  for (const Run& run : runs) curves.push_back({run.name(), survival_curve(run.scores)});
  return curves;
}

std::string as_text(const std::vector<Run>& runs, const Options& o) {
  const std::vector<NamedCurve> curves = curves_of(runs);
  std::string out = counts_text(runs, o) + kinds_text(runs);
  if (curves[0].curve.length() > 1) out += "\n" + survival_text(curves);
  return out;
}

std::string chart_of(const std::vector<Run>& runs, const Options& o) {
  const std::string suite = o.suite == "chain" ? fmt::format("chains of {} calls", o.length) : fmt::format("suite {}", o.suite);
  return survival_svg(fmt::format("Tool calls: {} episodes, {}, {}, seed {}", o.episodes, suite, o.split, o.seed), curves_of(runs));
}

Result<int> eval_tools(const Options& o) {
  if (!o.export_to.empty()) return export_episodes(o);
  QUERN_ASSIGN(const auto engine, load_reader(o.common));
  QUERN_ASSIGN(auto chart, open_chart(o.svg));
  std::vector<Run> runs = {Run{.constrained = !o.unconstrained}};
  if (o.compare) runs.push_back(Run{.constrained = false});
  QUERN_TRY(play_all(*engine, o, runs));
  QUERN_TRY(print_out(o.json ? as_json(runs, o).dump() + "\n" : as_text(runs, o)));
  if (chart) {
    QUERN_TRY(chart->write(chart_of(runs, o)));
    QUERN_TRY(chart->commit());
  }
  return kSuccess;
}

}  // namespace

void add_eval_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* eval = add_command(app, "eval", "Measure a model's quality");
  eval->require_subcommand(1);
  CLI::App* tools = add_command(*eval, "tools", "Tool calls: chains over mocked services whose final state is checked");
  tools->footer(
      "Examples:\n  quern eval tools --episodes 40 --length 25\n"
      "  quern eval tools --episodes 40 --compare --svg survival.svg\n\n"
      "An episode is a request, tools with random names and parameters, and a mocked service. The held-out split uses tools, "
      "values and\n"
      "phrasings that training never saw. Unless --unconstrained, the model can only write valid calls.\n\n"
      "How far chains come is a table: of all episodes, those whose first n calls were all the expected ones, and those without a\n"
      "malformed call among their first n. An answer that the context or its budget cuts ends its episode; a call it leaves open is "
      "none.\n\n"
      "With --resume-at N each episode is cut off after its first N calls: the model's state is saved, a new session takes it up and\n"
      "goes on. What comes of it must be what comes without.\n\n"
      "With --export the episodes are written, not played: F.jsonl has a conversation a line, any other name gets windows of token\n"
      "ids (little-endian u16; bit 15 marks what the assistant says, bit 14 an episode's first token), --episodes of them. With\n"
      "--template coder calls are written as XML.");
  tools->add_option("--episodes", o->episodes, "How many episodes")
      ->check(CLI::Range(int64_t{1}, int64_t{100'000'000}))
      ->capture_default_str();
  tools->add_option("--length", o->length, "Calls of an episode of the suite chain")
      ->check(CLI::Range(int64_t{2}, int64_t{200}))
      ->capture_default_str();
  tools
      ->add_option("--suite", o->suite,
                   "chain, single (one call each), files (the built-in tools), parallel, errors, documents (no calls) or mixed")
      ->check(CLI::IsMember({"mixed", "single", "chain", "files", "parallel", "errors", "documents"}))
      ->capture_default_str();
  tools->add_option("--split", o->split, "held-out or training")
      ->check(CLI::IsMember({"held-out", "training"}))
      ->capture_default_str();
  tools->add_option("--seed", o->seed, "Seed of the episodes")->capture_default_str();
  auto* resume =
      tools->add_option("--resume-at", o->resume_at, "Save the model's state after N calls and go on from it in a new session")
          ->type_name("N")
          ->check(CLI::Range(int64_t{1}, int64_t{200}));
  auto* unconstrained = tools->add_flag("--unconstrained", o->unconstrained, "Let the model write calls freely");
  auto* choice = tools->add_option("--tool-choice", o->tool_choice, "auto, or required: every turn is calls, and no text")
                     ->check(CLI::IsMember({"auto", "required"}))
                     ->capture_default_str()
                     ->excludes(unconstrained);
  tools->add_flag("--compare", o->compare, "Play each episode twice, with and without the constraint, and report both")
      ->excludes(unconstrained, choice);
  auto* chart = tools->add_option("--svg", o->svg, "Draw how far chains come into this file");
  tools->add_option("--export", o->export_to, "Write the episodes to this file")->excludes(chart, resume);
  tools->add_option("--tokenizer", o->tokenizer, "Tokenizer of exported windows; absent: the model's");
  tools->add_option("--window", o->window, "Tokens of an exported window")
      ->check(CLI::Range(int64_t{256}, int64_t{1} << 20))
      ->capture_default_str();
  tools->add_flag("--verbose", o->verbose, "Say on stderr what each episode that failed did");
  tools->add_flag("--json", o->json, "One JSON document with the counts and curves");
  o->common.add_to(*tools, "bf16");
  tools->callback([o, &body] { body = [o] { return eval_tools(*o); }; });
  add_eval_needle_command(*eval, body);
  add_eval_bfcl_command(*eval, body);
}

}  // namespace quern
