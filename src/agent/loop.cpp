#include "agent/loop.h"

#include <algorithm>
#include <optional>

#include "agent/context/repeats.h"
#include "agent/context/results.h"
#include "agent/context/run_conversation.h"
#include "agent/journal/state_saver.h"
#include "agent/journal/step_journal.h"
#include "agent/trust/provenance.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/system_error.h"
#include "base/utf8.h"
#include "constrain/constraint.h"
#include "text/assistant_parser.h"

namespace quern {
namespace {

constexpr int64_t kContextForPages = 65536;  // tokens from which on LongResults::automatic offers read_result

constexpr std::string_view kRefusedByPolicy = "refused by policy";

// Why a run ends before the model is done.
struct Stop {
  RunStatus status;
  std::string reason;
};
using Step = tl::expected<void, Stop>;

// The reason is one line, whatever a tool or a journal said.
tl::unexpected<Stop> stop(std::string reason) { return tl::unexpected(Stop{RunStatus::failed, printable_line(std::move(reason))}); }
tl::unexpected<Stop> cancel(std::string reason) { return tl::unexpected(Stop{RunStatus::cancelled, std::move(reason)}); }
Step step_of(const Result<void>& done) { return done ? Step() : Step(stop(done.error().message)); }

// For functions that return Step.
#define QUERN_STEP(expression)                                          \
  do {                                                                  \
    if (Step quern_step = (expression); !quern_step) return quern_step; \
  } while (0)

class Loop {
 public:
  Loop(ChatModel& model, const ToolRegistry& tools, const LoopOptions& options)
      : model_(model),
        tools_(tools),
        options_(options),
        conversation_(options.conversation ? *options.conversation : own_conversation_),
        provenance_(tools),
        context_(context_of(model, options)),
        counts_(options.before),
        results_(options.secrets, shows_pages(tools, options, context_), options.result_bytes),
        states_(model, options.checkpoint_after_s),
        allow_all_(options.changes == ChangePolicy::allow) {}

  EndEvent run() {
    Step step = begin();
    while (step && !verified_) step = done_ ? verify() : turn();
    if (step && !finished_before_) step = step_of(journal().finish(end_event(step)));
    const EndEvent end = end_event(step);
    emit(end);
    return end;
  }

 private:
  // Of all limits the lowest.
  static int64_t context_of(const ChatModel& model, const LoopOptions& options) {
    const int64_t most = model.context() > 0 ? model.context() : INT64_MAX;
    const int64_t least = std::min({most, options.budget.context.value_or(most), options.run_budget.context.value_or(most)});
    return least == INT64_MAX ? 0 : least;
  }

  static bool shows_pages(const ToolRegistry& tools, const LoopOptions& options, int64_t context) {
    if (tools.names().empty() || tools.find(kReadResult)) return false;
    return options.long_results == LongResults::pages ||
           (options.long_results == LongResults::automatic && context >= kContextForPages);
  }

  // --- beginning, and going on ------------------------------------------------------------------------------------------------------

  Step begin() {
    Conversation& conversation = options_.conversation ? *options_.conversation : own_conversation_;
    conversation.tools = offered_tools();
    conversation.answer_schema = options_.answer_schema;
    std::vector<std::string> names = tools_.names();
    if (results_.read_result()) names.emplace_back(kReadResult);
    auto opened = StepJournal::open(options_.journal, options_.step, options_.instruction, options_.system, conversation.tools);
    if (opened) journal_.emplace(std::move(*opened));
    emit(StartEvent{options_.name, options_.instruction, options_.root, std::move(names),
                    options_.journal ? options_.journal->id() : std::string()});
    if (!opened) return stop(opened.error().message);
    if (!options_.system.empty() && conversation_.get().messages.empty()) conversation_.add(Role::system, options_.system);
    for (const Message& message : conversation_.get().messages) note_origin(message);
    provenance_.user(options_.users_words.value_or(options_.instruction));
    if (options_.users_words) provenance_.output(options_.instruction);
    conversation_.add(Role::user, options_.instruction);
    if (past().finished) return recall_end(*past().finished);
    for (const Reply& cut : past().cut) {
      count_work(cut);
      seconds_before_ += cut.prefill_s + cut.decode_s;
    }
    resuming_ = !past().turns.empty() || !past().checkpoints.empty();
    state_restored_ = states_.restore(journal());
    return {};
  }

  std::vector<Json> offered_tools() const {
    std::vector<Json> offered = tools_.definitions();
    if (const Tool* pages = results_.read_result()) offered.push_back(pages->definition);
    return offered;
  }

  // Of what a tool is known from, in a conversation that is carried on.
  void note_origin(const Message& message) {
    if (message.role == Role::tool) provenance_.output(message.content);
    if (message.role == Role::system || message.role == Role::user) provenance_.user(message.content);
    for (const ToolCall& call : message.tool_calls) provenance_.called(call.name);
  }

  Step recall_end(const Json& end) {
    finished_before_ = done_ = verified_ = true;
    if (const Json* answer = end.find("answer"); answer && answer->is_string()) answer_ = answer->as_string();
    if (const Json* check = end.find("check"); check && check->is_string()) check_passed_ = check->as_string() == "passed";
    return {};
  }

  // What follows has not happened before.
  void go_live() {
    if (!std::exchange(resuming_, false)) return;
    emit(ResumeEvent{journal().run_id(), own().turns, calls_recalled_, state_restored_, same_prompt_ && journal().same_tools()});
  }

  EndEvent end_event(const Step& step) {
    EndEvent end;
    end.status = step ? RunStatus::success : step.error().status;
    end.reason = step ? "" : step.error().reason;
    end.answer = answer_;
    end.root = options_.root;
    end.check_passed = check_passed_;
    counts_.seconds = options_.before.seconds + seconds_before_ + seconds_since(start_);
    end.counts = counts_;
    if (options_.journal) end.run = options_.journal->id();
    return end;
  }

  void emit(Event event) const {
    if (options_.on_event) options_.on_event(event);
  }
  StepJournal& journal() { return *journal_; }
  const Past& past() const { return journal_->past(); }

  bool cancelled() const { return options_.cancelled && options_.cancelled(); }
  RunCounts own() const { return counts_ - options_.before; }  // of this conversation; the journal counts turns and calls so
  bool out_of_time() const { return !too_late().empty(); }
  std::string too_late() const {
    const double own = seconds_before_ + seconds_since(start_), all = options_.before.seconds + own;
    for (const auto& [budget, used] : {std::pair(&options_.budget.seconds, own), {&options_.run_budget.seconds, all}})
      if (*budget && used >= **budget) return fmt::format("the budget of {} seconds is used up", **budget);
    return {};
  }
  std::string no_turn() const {
    std::string reason = options_.budget.no_turn(own());
    return reason.empty() ? options_.run_budget.no_turn(counts_) : reason;
  }
  std::string no_call() const {
    std::string reason = options_.budget.no_call(own());
    return reason.empty() ? options_.run_budget.no_call(counts_) : reason;
  }
  int64_t next_answer() const { return std::min(options_.budget.next_answer(own()), options_.run_budget.next_answer(counts_)); }

  // What ends a run between two steps.
  Step may_go_on() const {
    if (cancelled()) return cancel("interrupted");
    if (std::string reason = too_late(); !reason.empty()) return stop(std::move(reason));
    return {};
  }

  // --- a turn ---------------------------------------------------------------------------------------------------------------------------

  Step turn() {
    QUERN_STEP(may_go_on());
    if (std::string reason = no_turn(); !reason.empty()) return stop(std::move(reason));
    QUERN_STEP(make_room());
    Reply reply;
    const auto before = past().turns.find(own().turns + 1);
    const bool recalled = before != past().turns.end();
    if (recalled)
      recall(before->second, reply);
    else
      QUERN_STEP(ask_model(reply));
    AssistantTurn said = parse_assistant(reply.text, model_.format(), conversation_.get().tools);
    remember(reply, said);
    if (!said.content.empty() && !recalled) emit(SayEvent{counts_.turns, said.content});
    if (said.calls.empty() && (!said.missing_opener || is_answer(said.content))) {
      answer_ = said.content;
      done_ = true;
      return {};
    }
    for (const ParsedCall& call : said.calls) QUERN_STEP(carry_out(call));
    if (!said.calls.empty()) return {};
    ParsedCall bare;
    bare.text = said.content;
    bare.error = "a call must stand between <tool_call> and </tool_call>";
    return carry_out(bare);
  }

  // JSON that was asked for may look like a call: {"name": "read_file", …}.
  bool is_answer(const std::string& text) const {
    if (!options_.answer_schema) return false;
    const auto value = Json::parse(text, "answer");
    return value && check_json(*options_.answer_schema, *value);
  }

  void count(const Reply& reply) {
    ++counts_.turns;
    count_work(reply);
  }

  void count_work(const Reply& reply) {
    counts_.prompt_tokens += reply.prompt_tokens;
    counts_.reused_tokens += reply.reused_tokens;
    counts_.tokens += reply.tokens;
    counts_.prefill_s += reply.prefill_s;
    counts_.decode_s += reply.decode_s;
    counts_.cost += options_.budget.prices.of_tokens(reply.prompt_tokens - reply.reused_tokens, reply.tokens);
  }

  void recall(const PastTurn& before, Reply& reply) {
    reply = before.reply;
    if (!past().turns.contains(own().turns + 2))
      same_prompt_ = before.prompt_sha256 == prompt_sha256();  // the last one stands for all
    count(reply);
    seconds_before_ += reply.prefill_s + reply.decode_s;
  }

  std::string prompt_sha256() const {
    if (!journal_->on()) return {};
    const auto prompt = render(conversation_.get(), model_.format());
    return prompt ? sha256_hex(prompt_text(*prompt)) : std::string();
  }

  Step ask_model(Reply& reply) {
    go_live();
    if (options_.refresh_tools && options_.refresh_tools()) {
      conversation_.offer(offered_tools());
      for (const auto& [call, text] : results_.kept()) provenance_.output(text);  // which may have named what is new
    }
    const std::string sha = prompt_sha256();
    const int64_t allowed = next_answer();
    auto answered = model_.reply(conversation_.get(), allowed, [&](std::string_view text) {
      if (options_.on_text && !text.empty()) options_.on_text(text);
      return !cancelled() && !out_of_time();
    });
    if (!answered) return stop(answered.error().message);
    reply = std::move(*answered);
    count(reply);
    if (reply.finish != FinishReason::cancelled) QUERN_STEP(step_of(journal().turn(own().turns, reply, sha)));
    emit(TurnEvent{counts_.turns, reply.prompt_tokens, reply.reused_tokens, reply.tokens, reply.prefill_s, reply.decode_s,
                   reply.text});
    // Of a turn that was cancelled too: what was read of a long prompt need not be read again.
    QUERN_STEP(step_of(states_.after_turn(journal(), own().turns, reply.prefill_s + reply.decode_s)));
    if (context_ > 0 && (model_.context() == 0 || context_ < model_.context()) && reply.prompt_tokens > context_)
      return stop(fmt::format("the budget of {} tokens in the context is used up", context_));
    switch (reply.finish) {
      case FinishReason::stop:
        return {};
      case FinishReason::length:
        if (std::string reason = no_turn(); allowed < options_.budget.tokens && !reason.empty()) return stop(std::move(reason));
        return stop(fmt::format("an answer reached the budget of {} tokens", allowed));
      case FinishReason::context:
        return stop(fmt::format("the model's context is full ({} tokens in the prompt)", reply.prompt_tokens));
      case FinishReason::cancelled:
        break;
    }
    auto step = may_go_on();
    return step ? Step(cancel("interrupted")) : step;
  }

  void remember(const Reply& reply, const AssistantTurn& said) {
    Message message;
    message.role = Role::assistant;
    message.content = said.content;
    if (!said.reasoning.empty()) message.reasoning = said.reasoning;
    for (const ParsedCall& call : said.calls)
      if (!call.error) message.tool_calls.push_back(call.call);
    message.verbatim = reply.text;  // the next prompt begins with the very text that was generated
    conversation_.add(std::move(message), {});
    conversation_.was_read(reply.prompt_tokens + reply.tokens);
  }

  // Before a turn: compacts the conversation where the prompt and an answer would no longer fit.
  Step make_room() {
    const int64_t turn = own().turns + 1;
    const bool readable = results_.read_result() != nullptr;
    if (past().turns.contains(turn)) {  // as it was done then
      const auto before = past().compactions.find(turn);
      if (before == past().compactions.end()) return {};
      const auto plan = CompactionPlan::from_json(before->second, conversation_.get().messages.size());
      if (!plan) return stop(plan.error().message);
      conversation_.compact(*plan, readable);
      return {};
    }
    if (context_ == 0) return {};
    const auto plan = conversation_.plan(model_, context_ - std::min(next_answer(), context_ / 4), readable);
    if (!plan) return {};
    QUERN_STEP(step_of(journal().compaction(turn, plan->json())));
    conversation_.compact(*plan, readable);
    return {};
  }

  // --- a call -------------------------------------------------------------------------------------------------------------------------

  const Tool* find_tool(std::string_view name) const {
    return results_.read_result() && name == kReadResult ? results_.read_result() : tools_.find(name);
  }

  Step carry_out(const ParsedCall& parsed) {
    QUERN_STEP(may_go_on());
    if (std::string reason = no_call(); !reason.empty()) return stop(std::move(reason));
    ++counts_.calls;
    const ToolCall& call = parsed.call;
    const Tool* tool = find_tool(call.name);
    const auto known = past().calls.find(own().calls);
    const PastCall* before = known == past().calls.end() ? nullptr : &known->second;
    if (before && before->result) return recall(*before, parsed, tool);
    go_live();
    const bool suspect = tool && provenance_.suspect(call.name);
    emit(CallEvent{counts_.calls, call.name, parsed.error ? Json(parsed.text) : call.arguments,
                   suspect ? fmt::format("{} was first named by a tool's output, not by the task", call.name) : std::string()});
    provenance_.called(call.name);
    CallResult result;
    result.event.call = counts_.calls;
    result.event.name = call.name;
    if (const std::string wrong = what_is_wrong(parsed, tool); !wrong.empty()) {
      result.event.malformed = true;
      set(result, {"error: " + wrong, true});
    } else {
      QUERN_STEP(before && before->begun && !before->repeatable ? settle(*tool, call, result)
                                                                : decide(*tool, call, before, result));
    }
    nudge(result, tool, parsed);
    // An error of a tool that was cut off says nothing about what it did: the call stays in doubt.
    const bool cut_off = result.event.is_error && !result.refused && !result.event.malformed && (cancelled() || out_of_time());
    if (!cut_off) QUERN_STEP(step_of(journal().result(own().calls, result)));
    return take(result, tool, parsed, /*live=*/true);
  }

  // A call of an earlier process, with its result.
  Step recall(const PastCall& before, const ParsedCall& parsed, const Tool* tool) {
    CallResult result = *before.result;
    result.event.call = counts_.calls;
    if (result.event.name != parsed.call.name)
      return stop(
          fmt::format("journal: call {} was {}, the turn it stands in calls {}", own().calls, result.event.name, parsed.call.name));
    provenance_.called(parsed.call.name);
    if (before.decision && before.decision->allowed) provenance_.agreed(parsed.call.name);
    if (result.refused && tool) count_refusal(*tool, parsed.call, before.decision && before.decision->reason == kRefusedByPolicy);
    ++calls_recalled_;
    seconds_before_ += result.event.seconds;
    return take(result, tool, parsed, /*live=*/false);
  }

  // The one line that tells a model why its call cannot be carried out; empty when it can.
  std::string what_is_wrong(const ParsedCall& parsed, const Tool* tool) const {
    if (parsed.error) return *parsed.error;
    if (!tool) return fmt::format("no such tool: {}", parsed.call.name);
    const auto fits = check_arguments(tool->definition, parsed.call.arguments);
    return fits ? std::string() : fits.error().message;
  }

  // Asks where somebody is to be asked, then carries the call out or refuses it.
  Step decide(const Tool& tool, const ToolCall& call, const PastCall* before, CallResult& result) {
    std::string refusal;
    QUERN_STEP(ask_user(tool, call, before, refusal));
    if (!refusal.empty()) {
      result.refused = true;
      count_refusal(tool, call, verdict(tool, call) == Verdict::deny);
      set(result, {"error: not allowed: " + refusal, true});
      return {};
    }
    return execute(tool, call, result);
  }

  void count_refusal(const Tool& tool, const ToolCall& call, bool by_policy) {
    unconfirmed_ += may_change(tool, call) && !by_policy;
  }

  // Of a suspect tool it does not count that a call only reads: what it is to read may be what an output wants to be told.
  bool may_change(const Tool& tool, const ToolCall& call) const {
    return provenance_.suspect(call.name) ? tool.changes : tool.changes_by(call.arguments);
  }

  Verdict verdict(const Tool& tool, const ToolCall& call) const {
    if (!options_.policy) return may_change(tool, call) ? Verdict::ask : Verdict::allow;
    if (!tool.only_reads || !provenance_.suspect(call.name)) return options_.policy(tool, call);
    Tool suspect = tool;
    suspect.only_reads = nullptr;
    return options_.policy(suspect, call);
  }

  Step record_decision(bool allowed, std::string reason) {
    QUERN_STEP(step_of(journal().decision(own().calls, {allowed, reason})));
    emit(ConfirmEvent{counts_.calls, allowed, std::move(reason)});
    return {};
  }

  // refusal: why the call may not be carried out; empty when it may.
  Step ask_user(const Tool& tool, const ToolCall& call, const PastCall* before, std::string& refusal) {
    const Verdict said = verdict(tool, call);
    if (said == Verdict::deny) {
      refusal = "the task's policy refuses this call";
      return record_decision(false, std::string(kRefusedByPolicy));
    }
    const bool suspect = provenance_.suspect(call.name);  // what was agreed to beforehand was not agreed for this
    if (said == Verdict::allow || (allow_all_ && !suspect) || options_.changes == ChangePolicy::preview) return {};
    if (before && before->decision && before->decision->allowed) {  // answered before the run was cut off
      provenance_.agreed(call.name);
      return {};
    }
    refusal = suspect ? fmt::format("{} was first named by a tool's output, and nobody has confirmed it", call.name)
                      : "changes need a confirmation, and this one was refused";
    if (!options_.confirm) return record_decision(false, "nobody is there to confirm it");
    const Decision decision = options_.confirm(tool, call);
    if (cancelled()) return cancel("interrupted");
    if (decision == Decision::quit) {
      emit(ConfirmEvent{counts_.calls, false, "asked"});
      return cancel("ended at a confirmation");
    }
    allow_all_ = allow_all_ || decision == Decision::all;
    if (decision == Decision::no) return record_decision(false, "asked");
    refusal.clear();
    provenance_.agreed(call.name);
    return record_decision(true, decision == Decision::all ? "this and all that follow" : "asked");
  }

  // A call that was being carried out when an earlier process ended, and that may not simply be made again.
  Step settle(const Tool& tool, const ToolCall& call, CallResult& result) {
    if (!options_.in_doubt)
      return stop(
          fmt::format("the run was cut off during call {} ({}), which may have taken effect: somebody must say whether it is to "
                      "be repeated, or counts as done or failed",
                      counts_.calls, call.name));
    const InDoubt said = options_.in_doubt(tool, call);
    if (cancelled()) return cancel("interrupted");
    switch (said) {
      case InDoubt::quit:
        return cancel("ended at a question");
      case InDoubt::repeat:
        QUERN_STEP(record_decision(true, "cut off: repeated"));
        return execute(tool, call, result);
      case InDoubt::done:
        QUERN_STEP(record_decision(true, "cut off: counted as done"));
        result.changed = true;
        set(result, {"done (the run was interrupted meanwhile; the user says that this call took effect)", false});
        return {};
      case InDoubt::failed:
        break;
    }
    QUERN_STEP(record_decision(true, "cut off: counted as failed"));
    set(result, {"error: the run was interrupted meanwhile; the user says that this call did not take effect", true});
    return {};
  }

  Step execute(const Tool& tool, const ToolCall& call, CallResult& result) {
    const bool changes = may_change(tool, call), preview = changes && options_.changes == ChangePolicy::preview;
    Json arguments = call.arguments;
    if (options_.secrets && !preview) {
      auto revealed = options_.secrets->reveal(arguments, tool.name());
      if (!revealed) {
        set(result, {"error: " + revealed.error().message, true});
        return {};
      }
      arguments = std::move(*revealed);
    }
    QUERN_STEP(step_of(journal().call(own().calls, call.name, call.arguments, changes && !preview, tool.idempotent)));
    CallContext context{.cancelled = [&] { return cancelled() || out_of_time(); }, .on_output = {}};
    if (options_.on_output)
      context.on_output = [&](std::string_view line) { options_.on_output(results_.redacted(std::string(line))); };
    const auto start = Clock::now();  // the time somebody took to answer is not the tool's
    try {
      if (!preview)
        set(result, tool.execute(arguments, context));
      else
        set(result, tool.preview ? tool.preview(arguments, context) : ToolResult{"done", false});
    } catch (const SystemError& e) {
      set(result, {fmt::format("error: {}", e.what()), true});
    }
    result.event.seconds = seconds_since(start);
    result.changed = changes && !result.event.is_error;
    return {};
  }

  void set(CallResult& result, ToolResult from) const {
    Results::Shown shown = results_.show(std::move(from.text), own().calls, result.event.name);
    result.event.is_error = from.is_error;
    result.event.text = std::move(shown.text);
    result.whole = std::move(shown.whole);
  }

  static std::string key_of(const ParsedCall& parsed) {
    return parsed.error ? parsed.text : parsed.call.name + " " + parsed.call.arguments.dump();
  }

  // What is counted as a repetition is the result without the words that say so.
  static SeenCall seen(const CallResult& result, const Tool* tool, const ParsedCall& parsed, std::string_view key) {
    std::string_view text = result.whole ? *result.whole : std::string_view(result.event.text);
    if (text.ends_with(Repeats::kWarning)) text.remove_suffix(Repeats::kWarning.size());
    const bool changes = tool && (result.event.malformed ? tool->changes : tool->changes_by(parsed.call.arguments));
    return {key, text, result.event.is_error, changes};
  }

  void nudge(CallResult& result, const Tool* tool, const ParsedCall& parsed) const {
    const std::string key = key_of(parsed);
    if (repeats_.nudges(seen(result, tool, parsed, key))) result.event.text += Repeats::kWarning;
  }

  // What follows from a result, new or recalled: counts, the model's next message, and whether this goes round in circles.
  Step take(const CallResult& result, const Tool* tool, const ParsedCall& parsed, bool live) {
    const ResultEvent& event = result.event;
    counts_.tools_s += event.seconds;
    counts_.errors += event.is_error;
    counts_.malformed += event.malformed;
    counts_.refused += result.refused;
    counts_.changes += result.changed;
    if (!result.refused && !event.malformed) counts_.cost += options_.budget.prices.of_call(event.name);
    results_.keep(own().calls, result.whole ? *result.whole : event.text);
    if (!event.malformed && !result.refused) provenance_.output(result.whole ? *result.whole : event.text);
    const std::string key = key_of(parsed);
    conversation_.add(Role::tool, event.text, {own().calls, key.substr(0, key.find('\n')), false});
    if (live) emit(event);
    if (auto reason = repeats_.count(seen(result, tool, parsed, key))) return stop(std::move(*reason));
    return {};
  }

  // --- the end ------------------------------------------------------------------------------------------------------------------------

  Step verify() {
    if (unconfirmed_ > 0 && own().changes == 0) return stop("nothing was changed: no change was confirmed");
    verified_ = true;
    if (!options_.check || options_.changes == ChangePolicy::preview) return {};
    // An earlier process came as far as to show the model what the check said.
    if (const auto before = past().checks.find(own().turns);
        before != past().checks.end() && past().turns.contains(own().turns + 1))
      return try_again(before->second);
    go_live();
    const auto start = Clock::now();
    auto checked = options_.check(answer_);
    if (cancelled()) return cancel("interrupted");
    if (!checked) return stop(fmt::format("check: {}", checked.error().message));
    checked->output = replace_invalid_utf8(results_.redacted(std::move(checked->output)));
    check_passed_ = checked->passed;
    QUERN_STEP(step_of(journal().check(own().turns, checked->passed, checked->output)));
    emit(CheckEvent{checked->passed, checked->output, seconds_since(start)});
    if (checked->passed) return {};
    if (own().retries == options_.retries) return stop("the task's check failed");
    return try_again(checked->output);
  }

  Step try_again(const std::string& said) {
    ++counts_.retries;
    std::string text = "A check of what you did failed. Find out why, put it right, and say what you did when you are done.";
    if (!said.empty()) text += "\nIt said:\n" + said;
    conversation_.add(Role::user, std::move(text));
    repeats_ = Repeats();
    done_ = verified_ = false;
    return {};
  }

  ChatModel& model_;
  const ToolRegistry& tools_;
  const LoopOptions& options_;
  Conversation own_conversation_;
  RunConversation conversation_;
  std::optional<StepJournal> journal_;
  Provenance provenance_;
  Repeats repeats_;
  const int64_t context_;  // tokens; 0: not known
  RunCounts counts_;
  Results results_;
  StateSaver states_;
  std::string answer_;
  std::optional<bool> check_passed_;
  int64_t unconfirmed_ = 0;  // changes that nobody agreed to
  bool allow_all_, done_ = false, verified_ = false, finished_before_ = false;
  // Of a step that is gone through again.
  bool resuming_ = false, state_restored_ = false, same_prompt_ = true;
  int64_t calls_recalled_ = 0;
  double seconds_before_ = 0;
  const Clock::time_point start_ = Clock::now();
};

}  // namespace

EndEvent run_loop(ChatModel& model, const ToolRegistry& tools, const LoopOptions& options) {
  return Loop(model, tools, options).run();
}

}  // namespace quern
