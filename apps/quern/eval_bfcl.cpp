// quern eval bfcl: the Berkeley Function Calling Leaderboard's single-turn questions, from files that the user has.
#include <algorithm>
#include <map>
#include <optional>

#include "agent/bfcl_player.h"
#include "base/file.h"
#include "base/json.h"
#include "trial.h"

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

Json record_json(const BfclRecord& record, const BfclCategory& category) {
  Json out = Json::object(), calls = Json::array();
  for (const ToolCall& call : record.calls) {
    Json one = Json::object();
    one[call.name] = call.arguments;
    calls.push_back(std::move(one));
  }
  out["id"] = record.id;
  out["category"] = category.name;
  out["result"] = record.malformed ? Json(record.reply) : std::move(calls);
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
  static Result<Answers> open(const Options& o) {
    Answers answers;
    if (!o.results.empty()) {
      QUERN_ASSIGN(answers.results_, load_bfcl_results(o.results));
      return answers;
    }
    QUERN_ASSIGN(answers.engine_, load_reader(o.common));
    QUERN_ASSIGN(BfclPlayer player, BfclPlayer::create(*answers.engine_, !o.unconstrained, o.max_tokens));
    answers.player_.emplace(std::move(player));
    return answers;
  }
  Result<BfclRecord> answer(const BfclItem& item, BfclRule rule) {
    if (player_) return player_->play(item, rule);
    BfclRecord record{.id = item.id, .calls = {}, .reply = {}, .verdict = {}};
    const auto found = results_.find(item.id);
    if (found == results_.end()) return fail(Errc::not_found, "no result for id {}", item.id);
    record.calls = found->second.calls;
    record.malformed = !found->second.readable;
    if (record.malformed) record.calls.clear();
    record.verdict = record.malformed && rule != BfclRule::no_call ? BfclVerdict{false, "malformed", "no list of calls"}
                                                                   : score_bfcl(item, rule, record.calls);
    return record;
  }
  BfclWork work() const { return player_ ? player_->work() : BfclWork{}; }
  bool from_model() const { return player_.has_value(); }

 private:
  std::unique_ptr<Engine> engine_;
  std::optional<BfclPlayer> player_;
  std::unordered_map<std::string, BfclResult> results_;
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

Json as_json(const std::vector<Scores>& all, const BfclCounts& total, const Answers& answers, const Options& o) {
  Json out = Json::object(), categories = Json::object(), timings = Json::object();
  for (const Scores& scores : all) {
    Json one = counts_json(scores.counts), errors = Json::object();
    for (const auto& [kind, count] : scores.errors) errors[kind] = count;
    one["errors"] = std::move(errors);
    categories[scores.category.name] = std::move(one);
  }
  out["categories"] = std::move(categories);
  out["total"] = counts_json(total);
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
  QUERN_ASSIGN(const std::vector<BfclCategory> categories, choose_categories(o));
  std::vector<std::vector<BfclItem>> items;
  double total_items = 0;
  for (const BfclCategory& category : categories) {  // all of it before the work: what is wrong with a file is found out first
    QUERN_ASSIGN(std::vector<BfclItem> loaded, load_bfcl(o.folder, category));
    if (o.limit > 0 && static_cast<int64_t>(loaded.size()) > o.limit) loaded.resize(static_cast<size_t>(o.limit));
    total_items += static_cast<double>(loaded.size());
    items.push_back(std::move(loaded));
  }
  QUERN_ASSIGN(auto export_file, open_chart(o.export_to));
  QUERN_ASSIGN(Answers answers, Answers::open(o));
  std::vector<Scores> all;
  BfclCounts total;
  std::optional<Progress> progress("evaluating");
  double done = 0;
  for (size_t c = 0; c < categories.size(); ++c) {
    Scores scores{.category = categories[c], .counts = {}, .errors = {}};
    for (const BfclItem& item : items[c]) {
      auto answered = answers.answer(item, categories[c].rule);
      if (!answered) return with_context(answered.error(), item.id);
      const BfclRecord& record = *answered;
      scores.counts.add(record);
      if (!record.verdict.right) ++scores.errors[record.verdict.kind];
      if (export_file) QUERN_TRY(export_file->write(record_json(record, categories[c]).dump() + "\n"));
      if (o.verbose && !record.verdict.right)
        fmt::print(stderr, "{}: {}: {}\n", record.id, record.verdict.kind, printable_line(record.verdict.error));
      progress->update(++done, total_items);
    }
    total.add(scores.counts);
    all.push_back(std::move(scores));
  }
  progress.reset();
  QUERN_TRY(print_out(o.json ? as_json(all, total, answers, o).dump() + "\n" : as_text(all, total)));
  if (export_file) QUERN_TRY(export_file->commit());
  return kSuccess;
}

constexpr std::string_view kHelp = R"(FOLDER holds the leaderboard's files, BFCL_v4_CATEGORY.json and
possible_answer/: bfcl_eval/data in its repository, ShishirPatil/gorilla. quern
does not come with them and does not fetch them.

Scored are the single-turn categories: simple_python, simple_java,
simple_javascript, multiple, parallel, parallel_multiple, irrelevance, and
live_simple, live_multiple, live_parallel, live_parallel_multiple,
live_irrelevance, live_relevance. Not scored: multi_turn_* (their services are
Python classes), memory and web_search (services).

A call is right by the leaderboard's own rules for its syntax tree; docs/eval.md
lists them. The table's last line counts items, it is not the leaderboard's
weighted overall score. Decoding is greedy; calls are constrained to the tools'
schemas unless --unconstrained.

Exit status:
  0 done, whatever the score; 1 failed (one line on stderr); 2 wrong usage.

Examples:
  quern eval bfcl gorilla/berkeley-function-call-leaderboard/bfcl_eval/data
  quern eval bfcl DATA --category multiple --category parallel --limit 50 --json
  quern eval bfcl DATA --export mine.jsonl && quern eval bfcl DATA --results mine.jsonl)";

}  // namespace

void add_eval_bfcl_command(CLI::App& eval, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* bfcl = add_command(eval, "bfcl", "Function calls: the Berkeley leaderboard's single-turn questions");
  bfcl->footer(std::string(kHelp));
  bfcl->add_option("folder", o->folder, "Where BFCL_v4_*.json are")->required()->type_name("FOLDER");
  bfcl->add_option("--category", o->categories, "Only this one; may be given again")->allow_extra_args(false);
  bfcl->add_option("--limit", o->limit, "Only the first items of each category")->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  auto* unconstrained = bfcl->add_flag("--unconstrained", o->unconstrained, "Let the model write calls freely");
  bfcl->add_option("--max-tokens", o->max_tokens, "Tokens of an answer")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->capture_default_str();
  bfcl->add_option("--export", o->export_to, "Write each item's calls and verdict to this file, a JSON line each");
  bfcl->add_option("--results", o->results,
                   "Score the calls of this file, {\"id\", \"result\": [{name: arguments}]} a line; no model")
      ->excludes(unconstrained);
  bfcl->add_flag("--verbose", o->verbose, "Say on stderr what is wrong with each item");
  bfcl->add_flag("--json", o->json, "One JSON document");
  o->common.add_to(*bfcl, "bf16");
  bfcl->callback([o, &body] { body = [o] { return eval_bfcl(*o); }; });
}

}  // namespace quern
