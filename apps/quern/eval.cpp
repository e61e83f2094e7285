// quern eval tools: how well a model calls tools, and the same episodes as training data.
#include <fmt/ranges.h>

#include "agent/engine_model.h"
#include "base/json.h"
#include "command.h"
#include "eval/evaluate.h"
#include "eval/export.h"

namespace quern {
namespace {

struct Options {
  CommonOptions common;
  int64_t episodes = 100, length = 25, window = 8192;
  uint64_t seed = 1;
  std::string suite = "chain", split = "held-out", tool_choice = "auto", export_to, tokenizer;
  bool unconstrained = false, json = false, verbose = false;

  Split which() const { return split == "training" ? Split::training : Split::held_out; }
};

Result<int> export_episodes(const Options& o) {
  ExportRequest request{.split = o.which(), .episodes = o.episodes, .length = o.length, .seed = o.seed};
  QUERN_ASSIGN(request.suite, parse_suite(o.suite));
  Progress progress("exporting");
  request.on_progress = [&](int64_t done, int64_t total) {
    progress.update(static_cast<double>(done), static_cast<double>(total));
  };
  if (o.export_to.ends_with(".jsonl")) {
    QUERN_TRY(export_jsonl(request, o.export_to));
    return kSuccess;
  }
  std::filesystem::path tokenizer_file = o.tokenizer;
  if (o.tokenizer.empty()) {
    QUERN_ASSIGN(const auto folder, find_model(o.common.model));
    tokenizer_file = folder / "tokenizer.json";
  }
  QUERN_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(tokenizer_file));
  QUERN_TRY(export_windows(request, tokenizer, o.window, o.export_to));
  return kSuccess;
}

constexpr int64_t kMaxAnswerTokens = 2048;

// What all turns together took.
struct Work {
  int64_t tokens = 0, forced_tokens = 0;
  double decode_s = 0, constrain_s = 0;
};

// Greedy turns of one episode, played as `quern run` plays a task.
Result<EpisodeRecord> play_with(const Engine& engine, const Options& o, const ToolEpisode& episode, Work& work) {
  EngineModelOptions options{.constrained = !o.unconstrained};
  if (o.tool_choice == "required") options.choice.kind = ToolChoice::Kind::required;
  QUERN_ASSIGN(const auto model, EngineModel::create(engine, options));
  return play_episode(episode, [&](const Conversation& conversation) -> Result<std::string> {
    auto replied = model->reply(conversation, kMaxAnswerTokens, [](std::string_view) { return true; });
    if (!replied && replied.error().code == Errc::out_of_range)  // a constraint's limit: not the model's failure
      return fail(Errc::unsupported, "{}", replied.error().message);
    QUERN_ASSIGN(Reply reply, std::move(replied));
    work.tokens += reply.tokens;
    work.forced_tokens += reply.forced_tokens;
    work.decode_s += reply.decode_s;
    work.constrain_s += reply.constrain_s;
    // What is cut may end inside a call, which is none: it ends the episode, as it ends a run.
    if (reply.finish == FinishReason::context)
      return fail(Errc::out_of_range, "a conversation that fills the context of {} tokens", engine.context());
    if (reply.finish == FinishReason::length)
      return fail(Errc::out_of_range, "an answer that reached the budget of {} tokens", kMaxAnswerTokens);
    return std::move(reply.text);
  });
}

std::vector<int64_t> first_failures(const ToolScores& s) {
  std::vector<int64_t> out;
  for (const EpisodeOutcome& outcome : s.outcomes)
    if (!outcome.complete) out.push_back(outcome.right);
  return out;
}

Json as_json(const ToolScores& s, const Work& work, const Options& o) {
  Json failures = Json::array(), timings = Json::object(), out = Json::object();
  for (const int64_t calls : first_failures(s)) failures.push_back(calls);
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
  out["constrained"] = !o.unconstrained;
  out["tokens"] = work.tokens;
  out["forced_tokens"] = work.forced_tokens;
  timings["decode_s"] = work.decode_s;
  timings["constrain_s"] = work.constrain_s;
  out["timings"] = std::move(timings);
  return out;
}

std::string as_text(const ToolScores& s) {
  const auto share = [](int64_t part, int64_t whole) {
    return whole > 0
               ? fmt::format("{} of {} ({:.2f} %)", part, whole, 100.0 * static_cast<double>(part) / static_cast<double>(whole))
               : std::string("none");
  };
  return fmt::format(
      "calls, valid       {}\ncalls, exact       {}\nepisodes, complete {}\nepisodes, done     {}\nepisodes, cut      {}\nfirst failures     {}\n",
      share(s.calls - s.malformed, s.calls), share(s.exact, s.expected), share(s.complete, s.episodes), share(s.done, s.episodes),
      share(s.cut, s.episodes),
      s.complete == s.episodes ? "none" : fmt::format("after {} calls", fmt::join(first_failures(s), ", ")));
}

Result<int> eval_tools(const Options& o) {
  if (!o.export_to.empty()) return export_episodes(o);
  QUERN_ASSIGN(const Suite suite, parse_suite(o.suite));
  QUERN_ASSIGN(const EngineOptions engine_options, o.common.engine());
  QUERN_ASSIGN(const auto engine, Engine::load(engine_options));
  if (!engine->tokenizer()) return fail(Errc::not_found, "{} has no tokenizer.json", engine_options.model.string());
  ToolScores scores;
  Work work;
  Progress progress("evaluating");
  for (int64_t i = 0; i < o.episodes; ++i) {
    const ToolEpisode episode = make_episode(suite, o.which(), o.length, Random::mix(o.seed) + static_cast<uint64_t>(i));
    QUERN_ASSIGN(const EpisodeRecord record, play_with(*engine, o, episode, work));
    scores.add(record.scores);
    if (o.verbose && !record.difference.empty()) fmt::print(stderr, "episode {} ({}): {}\n", i, episode.kind, record.difference);
    progress.update(static_cast<double>(i + 1), static_cast<double>(o.episodes));
  }
  QUERN_TRY(print_out(o.json ? as_json(scores, work, o).dump() + "\n" : as_text(scores)));
  return kSuccess;
}

}  // namespace

void add_eval_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* eval = app.add_subcommand("eval", "Measure a model's quality");
  eval->require_subcommand(1);
  CLI::App* tools = eval->add_subcommand("tools", "Tool calls: chains over mocked services whose final state is checked");
  tools->footer(
      "Example:\n  quern eval tools --episodes 40 --length 25\n\n"
      "An episode is a request, tools with random names and parameters, and a mocked service. The held-out split uses tools, "
      "values and\n"
      "phrasings that training never saw. Unless --unconstrained, the model can only write valid calls.\n\n"
      "With --export the episodes are written, not played: F.jsonl has a conversation a line, any other name gets windows of token\n"
      "ids (little-endian u16; bit 15 marks what the assistant says, bit 14 an episode's first token), --episodes of them.");
  tools->add_option("--episodes", o->episodes, "How many episodes")
      ->check(CLI::Range(int64_t{1}, int64_t{100'000'000}))
      ->capture_default_str();
  tools->add_option("--length", o->length, "Calls of an episode of the suite chain")
      ->check(CLI::Range(int64_t{2}, int64_t{60}))
      ->capture_default_str();
  tools->add_option("--suite", o->suite, "chain, single (one call each), files (the built-in tools) or mixed")
      ->check(CLI::IsMember({"mixed", "single", "chain", "files"}))
      ->capture_default_str();
  tools->add_option("--split", o->split, "held-out or training")
      ->check(CLI::IsMember({"held-out", "training"}))
      ->capture_default_str();
  tools->add_option("--seed", o->seed, "Seed of the episodes")->capture_default_str();
  auto* unconstrained = tools->add_flag("--unconstrained", o->unconstrained, "Let the model write calls freely");
  tools->add_option("--tool-choice", o->tool_choice, "auto, or required: every turn is calls, and no text")
      ->check(CLI::IsMember({"auto", "required"}))
      ->capture_default_str()
      ->excludes(unconstrained);
  tools->add_option("--export", o->export_to, "Write the episodes to this file");
  tools->add_option("--tokenizer", o->tokenizer, "Tokenizer of exported windows; absent: the model's");
  tools->add_option("--window", o->window, "Tokens of an exported window")
      ->check(CLI::Range(int64_t{256}, int64_t{1} << 20))
      ->capture_default_str();
  tools->add_flag("--verbose", o->verbose, "Say on stderr what each episode that failed did");
  tools->add_flag("--json", o->json, "One JSON document with the counts");
  o->common.add_to(*tools, "bf16");
  tools->callback([o, &body] { body = [o] { return eval_tools(*o); }; });
}

}  // namespace quern
