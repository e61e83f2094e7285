// quern eval bfcl: the Berkeley Function Calling Leaderboard's questions, of one turn and of several, from files that the user has.
#include <algorithm>
#include <map>
#include <optional>

#include "agent/bfcl_turns_player.h"
#include "agent/sandbox/support.h"
#include "base/file.h"
#include "base/json.h"
#include "trial.h"

extern char** environ;

namespace quern {
namespace {

namespace fs = std::filesystem;

struct Options {
  CommonOptions common;
  std::string folder, export_to, results;
  std::vector<std::string> categories;
  int64_t limit = 0, max_tokens = 1024;
  bool unconstrained = false, json = false, verbose = false;
};

// A category's questions; of one turn or of several.
struct Questions {
  BfclCategory category;
  std::vector<BfclItem> items;
  std::vector<BfclTurnsItem> in_turns;

  size_t size() const { return items.size() + in_turns.size(); }
};

struct Scores {
  BfclCategory category;
  BfclCounts counts;
  std::map<std::string, int64_t> errors;  // by kind
};

// Those named, or all of which there is a file.
Result<std::vector<BfclCategory>> choose_categories(const Options& o) {
  std::vector<BfclCategory> chosen;
  for (const std::string& name : o.categories) {
    QUERN_ASSIGN(const BfclCategory category, find_bfcl_category(name));
    const auto is_it = [&](const BfclCategory& c) { return c.name == category.name; };
    if (std::none_of(chosen.begin(), chosen.end(), is_it)) chosen.push_back(category);
  }
  if (!chosen.empty()) return chosen;
  std::error_code ignored;
  for (const BfclCategory& category : bfcl_categories())
    if (fs::exists(fs::path(o.folder) / fmt::format("BFCL_v4_{}.json", category.name), ignored)) chosen.push_back(category);
  if (chosen.empty())
    return fail(Errc::not_found, "{}: no BFCL_v4_*.json that quern scores (bfcl_eval/data of the leaderboard's repository)",
                o.folder);
  return chosen;
}

template <class Item>
void keep_first(std::vector<Item>& items, int64_t limit) {
  if (limit > 0 && static_cast<int64_t>(items.size()) > limit) items.erase(items.begin() + limit, items.end());
}

// The services that questions of several turns ask for, ready; none where there are no such questions.
class Services {
 public:
  // Whether this category's services can be had. not_found: what is missing.
  Result<void> provide(const Questions& questions, const Options& o) {
    if (questions.in_turns.empty()) return {};
    if (!services_) {
      std::vector<std::string> environment;
      for (char** entry = environ; entry && *entry; ++entry) environment.emplace_back(*entry);
      auto opened = BfclServices::open({.data = o.folder, .environment = std::move(environment)});
      if (!opened) return fail(Errc::not_found, "{}", opened.error().message);  // whatever the reason, as below
      services_.emplace(std::move(*opened));
      if (const SandboxSupport& sandbox = this_machines_sandbox(); !sandbox.confines())
        fmt::print(stderr, "quern: the services run with your own rights, this machine cannot confine them: {}\n",
                   sandbox.describe());
    }
    for (const BfclTurnsItem& item : questions.in_turns)
      for (const BfclService& service : item.services) {
        if (std::find(loaded_.begin(), loaded_.end(), service.name) != loaded_.end()) continue;
        if (const auto loaded = services_->load({service}); !loaded)  // whatever the reason: it is not there to be used
          return fail(Errc::not_found, "{}: {}", service.name, loaded.error().message);
        loaded_.push_back(service.name);
      }
    return {};
  }
  BfclServices& get() { return *services_; }

 private:
  std::optional<BfclServices> services_;
  std::vector<std::string> loaded_;
};

Result<Questions> load_category(const BfclCategory& category, const Options& o, Services& services) {
  Questions questions{.category = category, .items = {}, .in_turns = {}};
  if (category.rule == BfclRule::in_turns) {
    QUERN_ASSIGN(questions.in_turns, load_bfcl_turns(o.folder, category));
  } else {
    QUERN_ASSIGN(questions.items, load_bfcl(o.folder, category));
  }
  keep_first(questions.items, o.limit);
  keep_first(questions.in_turns, o.limit);
  QUERN_TRY(services.provide(questions, o));
  return questions;
}

// Everything is read before the work: what is wrong with a file is found out first. Of categories that nobody named, those whose
// services cannot be had are left out, with a line that says why.
Result<std::vector<Questions>> load_all(const Options& o, Services& services, Json& left_out) {
  QUERN_ASSIGN(const std::vector<BfclCategory> categories, choose_categories(o));
  std::vector<Questions> all;
  std::string said, notes;
  for (const BfclCategory& category : categories) {
    auto questions = load_category(category, o, services);
    if (questions) {
      all.push_back(std::move(*questions));
      continue;
    }
    const Error error = questions.error();
    if (category.rule != BfclRule::in_turns || error.code != Errc::not_found || !o.categories.empty() || categories.size() == 1)
      return tl::unexpected(error);
    left_out[category.name] = error.message;
    if (error.message != said)
      notes += fmt::format("quern: {} and others like it are left out: {}\n", category.name, error.message);
    said = error.message;
  }
  if (all.empty()) return fail(Errc::not_found, "{}", said);  // without the notes: an error is one line
  fmt::print(stderr, "{}", notes);
  return all;
}

Json record_json(const BfclRecord& record, const BfclCategory& category) {
  Json out = Json::object(), calls = Json::array();
  for (const ToolCall& call : record.calls) {
    Json one = Json::object();
    one[call.name] = call.arguments;
    calls.push_back(std::move(one));
  }
  out["id"] = record.id;
  out["category"] = category.name;
  out["result"] = record.turns ? *record.turns : record.malformed ? Json(record.reply) : std::move(calls);
  out["valid"] = record.verdict.right;
  if (!record.verdict.right) {
    out["error_type"] = record.verdict.kind;
    out["error"] = record.verdict.error;
  }
  if (!record.reply.empty()) out["reply"] = record.reply;
  if (record.cut) out["cut"] = true;
  if (record.unenforced) out["unenforced"] = true;
  return out;
}

// Where answers come from: a model, or a file of results.
class Answers {
 public:
  static Result<Answers> open(const Options& o, const std::vector<Questions>& questions, Services& services) {
    Answers answers(services);
    if (!o.results.empty()) {  // read only as what is wanted of it: it may be long
      const auto in_turns = [](const Questions& one) { return one.category.rule == BfclRule::in_turns; };
      if (!std::all_of(questions.begin(), questions.end(), in_turns)) {
        QUERN_ASSIGN(answers.results_, load_bfcl_results(o.results));
      }
      if (std::any_of(questions.begin(), questions.end(), in_turns)) {
        QUERN_ASSIGN(answers.turns_results_, load_bfcl_turns_results(o.results));
      }
      return answers;
    }
    QUERN_ASSIGN(answers.engine_, load_reader(o.common));
    QUERN_ASSIGN(BfclPlayer player, BfclPlayer::create(*answers.engine_, !o.unconstrained, o.max_tokens));
    answers.player_.emplace(std::move(player));
    return answers;
  }

  // Of the category's item with this number.
  Result<BfclRecord> answer(const Questions& questions, size_t i) {
    const bool in_turns = questions.category.rule == BfclRule::in_turns;
    const std::string& id = in_turns ? questions.in_turns[i].id : questions.items[i].id;
    auto answered = in_turns ? answer(questions.in_turns[i]) : answer(questions.items[i], questions.category.rule);
    if (!answered) return with_context(answered.error(), id);
    return answered;
  }
  BfclWork work() const { return player_ ? player_->work() : BfclWork{}; }
  bool from_model() const { return player_.has_value(); }

 private:
  explicit Answers(Services& services) : services_(&services) {}

  Result<BfclRecord> answer(const BfclItem& item, BfclRule rule) {
    if (player_) return player_->play(item, rule);
    BfclRecord record{.id = item.id, .calls = {}, .reply = {}, .turns = {}, .verdict = {}};
    const auto found = results_.find(item.id);
    if (found == results_.end()) return fail(Errc::not_found, "no result for this id");
    record.calls = found->second.calls;
    record.malformed = !found->second.readable;
    if (record.malformed) record.calls.clear();
    record.verdict = record.malformed && rule != BfclRule::no_call ? BfclVerdict{false, "malformed", "no list of calls"}
                                                                   : score_bfcl(item, rule, record.calls);
    return record;
  }

  Result<BfclRecord> answer(const BfclTurnsItem& item) {
    if (player_) return player_->play(item, services_->get());
    BfclRecord record{.id = item.id, .calls = {}, .reply = {}, .turns = Json::array(), .verdict = {}};
    const auto found = turns_results_.find(item.id);
    if (found == turns_results_.end()) return fail(Errc::not_found, "no result for this id");
    const BfclTurnsResult& result = found->second;
    for (const BfclSteps& turn : result.turns) record.turns->push_back(Json::Array(turn.begin(), turn.end()));
    record.malformed = !result.readable;
    record.verdict = result.readable ? score_bfcl_turns(item, result.turns, services_->get())
                                     : BfclVerdict{false, "malformed", "no list of turns"};
    return record;
  }

  Services* services_;
  std::unique_ptr<Engine> engine_;
  std::optional<BfclPlayer> player_;
  std::unordered_map<std::string, BfclResult> results_;
  std::unordered_map<std::string, BfclTurnsResult> turns_results_;
};

Json counts_json(const BfclCounts& counts) {
  Json out = Json::object();
  out["items"] = counts.items;
  out["right"] = counts.right;
  out["accuracy"] = counts.accuracy();
  out["malformed"] = counts.malformed;
  out["cut"] = counts.cut;
  out["unenforced"] = counts.unenforced;
  return out;
}

Json as_json(const std::vector<Scores>& all, const BfclCounts& total, const Answers& answers, const Options& o,
             const Json& left_out) {
  Json out = Json::object(), categories = Json::object(), timings = Json::object();
  for (const Scores& scores : all) {
    Json one = counts_json(scores.counts), errors = Json::object();
    for (const auto& [kind, count] : scores.errors) errors[kind] = count;
    one["errors"] = std::move(errors);
    categories[scores.category.name] = std::move(one);
  }
  out["categories"] = std::move(categories);
  out["total"] = counts_json(total);
  if (left_out.size() > 0) out["left_out"] = left_out;
  if (answers.from_model()) {
    const BfclWork work = answers.work();
    out["constrained"] = !o.unconstrained;
    out["prompt_tokens"] = work.prompt_tokens;
    out["tokens"] = work.tokens;
    out["forced_tokens"] = work.forced_tokens;
    timings["prefill_s"] = work.prefill_s;
    timings["decode_s"] = work.decode_s;
    timings["constrain_s"] = work.constrain_s;
    out["timings"] = std::move(timings);
  }
  return out;
}

std::string as_text(const std::vector<Scores>& all, const BfclCounts& total) {
  std::string out = fmt::format("{:<24}{:>7}{:>7}{:>10}{:>11}{:>6}  {}\n", "category", "items", "right", "accuracy", "malformed",
                                "cut", "most frequent error");
  const auto row = [&](std::string_view name, const BfclCounts& c, std::string_view error) {
    std::string line = fmt::format("{:<24}{:>7}{:>7}{:>9.1f} %{:>11}{:>6}  {}", name, c.items, c.right, 100 * c.accuracy(),
                                   c.malformed, c.cut, error);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  for (const Scores& scores : all) {
    std::string most;
    int64_t times = 0;
    for (const auto& [kind, count] : scores.errors)
      if (count > times) times = count, most = fmt::format("{} ({})", kind, count);
    row(scores.category.name, scores.counts, most);
  }
  if (all.size() > 1) row("all items", total, "");
  if (total.unenforced > 0)
    out += fmt::format("\n{} items have tools whose schema cannot be enforced; their answers were free.\n", total.unenforced);
  return out;
}

Result<int> eval_bfcl(const Options& o) {
  Services services;
  Json left_out = Json::object();
  QUERN_ASSIGN(const std::vector<Questions> questions, load_all(o, services, left_out));
  double total_items = 0;
  for (const Questions& category : questions) total_items += static_cast<double>(category.size());
  QUERN_ASSIGN(auto export_file, open_chart(o.export_to));
  QUERN_ASSIGN(Answers answers, Answers::open(o, questions, services));
  std::vector<Scores> all;
  BfclCounts total;
  std::optional<Progress> progress("evaluating");
  double done = 0;
  for (const Questions& category : questions) {
    Scores scores{.category = category.category, .counts = {}, .errors = {}};
    for (size_t i = 0; i < category.size(); ++i) {
      QUERN_ASSIGN(const BfclRecord record, answers.answer(category, i));
      scores.counts.add(record);
      if (!record.verdict.right) ++scores.errors[record.verdict.kind];
      if (export_file) QUERN_TRY(export_file->write(record_json(record, scores.category).dump() + "\n"));
      if (o.verbose && !record.verdict.right)
        fmt::print(stderr, "{}: {}: {}\n", record.id, record.verdict.kind, printable_line(record.verdict.error));
      progress->update(++done, total_items);
    }
    total.add(scores.counts);
    all.push_back(std::move(scores));
  }
  progress.reset();
  QUERN_TRY(print_out(o.json ? as_json(all, total, answers, o, left_out).dump() + "\n" : as_text(all, total)));
  if (export_file) QUERN_TRY(export_file->commit());
  return kSuccess;
}

constexpr std::string_view kHelp = R"(FOLDER holds the leaderboard's files, BFCL_v4_CATEGORY.json and
possible_answer/: bfcl_eval/data in its repository, ShishirPatil/gorilla. quern
does not come with them and does not fetch them.

Scored are, of one turn: simple_python, simple_java, simple_javascript,
multiple, parallel, parallel_multiple, irrelevance, and live_simple,
live_multiple, live_parallel, live_parallel_multiple, live_irrelevance,
live_relevance. Of several turns: multi_turn_base, multi_turn_miss_func,
multi_turn_miss_param, multi_turn_long_context. Not scored: memory and
web_search (services that need more than the repository), format_sensitivity.

The services of multi_turn_* are Python classes in the repository, beside
FOLDER: they run in your python3, in quern's sandbox. One of them needs the
package mpmath (Debian: python3-mpmath). Where they cannot run, and no
--category asks for them, the others are scored and a line says why.

A call of one turn is right by the leaderboard's rules for its syntax tree; of
several turns, the services' states and results are compared after each of
them. docs/eval.md lists the rules. The table's last line counts items, it is
not the leaderboard's weighted overall score. Decoding is greedy; calls are
constrained to the tools' schemas unless --unconstrained.

Exit status:
  0 done, whatever the score; 1 failed (one line on stderr); 2 wrong usage.

Examples:
  quern eval bfcl gorilla/berkeley-function-call-leaderboard/bfcl_eval/data
  quern eval bfcl DATA --category multiple --category parallel --limit 50 --json
  quern eval bfcl DATA --category multi_turn_base --verbose
  quern eval bfcl DATA --export mine.jsonl && quern eval bfcl DATA --results mine.jsonl)";

}  // namespace

void add_eval_bfcl_command(CLI::App& eval, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* bfcl = add_command(eval, "bfcl", "Function calls: the Berkeley leaderboard's questions, of one turn and of several");
  bfcl->footer(std::string(kHelp));
  bfcl->add_option("folder", o->folder, "Where BFCL_v4_*.json are")->required()->type_name("FOLDER");
  bfcl->add_option("--category", o->categories, "Only this one; may be given again")->allow_extra_args(false);
  bfcl->add_option("--limit", o->limit, "Only the first items of each category")->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  auto* unconstrained = bfcl->add_flag("--unconstrained", o->unconstrained, "Let the model write calls freely");
  bfcl->add_option("--max-tokens", o->max_tokens, "Tokens of an answer, of several turns of a step")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->capture_default_str();
  bfcl->add_option("--export", o->export_to, "Write each item's calls and verdict to this file, a JSON line each");
  bfcl->add_option("--results", o->results,
                   "Score the calls of this file, {\"id\", \"result\": [{name: arguments}]} a line, of several turns "
                   "[[[calls of a step]]]; no model")
      ->excludes(unconstrained);
  bfcl->add_flag("--verbose", o->verbose, "Say on stderr what is wrong with each item");
  bfcl->add_flag("--json", o->json, "One JSON document");
  o->common.add_to(*bfcl, "bf16");
  bfcl->callback([o, &body] { body = [o] { return eval_bfcl(*o); }; });
}

}  // namespace quern
