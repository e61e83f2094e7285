#include "agent/loop.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "base/system_error.h"
#include "base/utf8.h"
#include "constrain/constraint.h"
#include "text/assistant_parser.h"

namespace quern {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

constexpr int kSameFailures = 3;               // the same call failing that often ends the run: it will not get better
constexpr size_t kMaxResultBytes = 256 << 10;  // of one tool result that reaches the model

// Why a run ends before the model is done.
struct Stop {
  RunStatus status;
  std::string reason;
};
using Step = tl::expected<void, Stop>;

tl::unexpected<Stop> stop(std::string reason) { return tl::unexpected(Stop{RunStatus::failed, std::move(reason)}); }
tl::unexpected<Stop> cancel(std::string reason) { return tl::unexpected(Stop{RunStatus::cancelled, std::move(reason)}); }

class Loop {
 public:
  Loop(ChatModel& model, const ToolRegistry& tools, const LoopOptions& options)
      : model_(model),
        tools_(tools),
        options_(options),
        conversation_(options.conversation ? *options.conversation : own_conversation_),
        counts_(options.before),
        allow_all_(options.changes == ChangePolicy::allow) {}

  EndEvent run() {
    emit(StartEvent{options_.name, options_.instruction, options_.root, tools_.names()});
    conversation_.tools = tools_.definitions();
    conversation_.answer_schema = options_.answer_schema;
    if (!options_.system.empty() && conversation_.messages.empty()) add_message(Role::system, options_.system);
    add_message(Role::user, options_.instruction);
    Step step;
    while (step && !verified_) step = done_ ? verify() : turn();
    EndEvent end;
    end.status = step ? RunStatus::success : step.error().status;
    end.reason = step ? "" : step.error().reason;
    end.answer = answer_;
    end.root = options_.root;
    end.check_passed = check_passed_;
    counts_.seconds = options_.before.seconds + seconds_since(start_);
    end.counts = counts_;
    emit(end);
    return end;
  }

 private:
  void emit(Event event) const {
    if (options_.on_event) options_.on_event(event);
  }
  void add_message(Role role, std::string content) {
    Message message;
    message.role = role;
    message.content = std::move(content);
    conversation_.messages.push_back(std::move(message));
  }
  bool cancelled() const { return options_.cancelled && options_.cancelled(); }
  RunCounts own() const { return counts_ - options_.before; }  // of this conversation
  bool out_of_time() const { return !too_late().empty(); }
  std::string too_late() const {
    const double own = seconds_since(start_), all = options_.before.seconds + own;
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

  // What ends a run between two steps.
  Step may_go_on() const {
    if (cancelled()) return cancel("interrupted");
    if (std::string reason = too_late(); !reason.empty()) return stop(std::move(reason));
    return {};
  }

  Step turn() {
    if (auto step = may_go_on(); !step) return step;
    if (std::string reason = no_turn(); !reason.empty()) return stop(std::move(reason));
    Reply reply;
    if (auto step = ask_model(reply); !step) return step;
    AssistantTurn said = parse_assistant(reply.text, model_.format(), conversation_.tools);
    remember(reply, said);
    if (!said.content.empty()) emit(SayEvent{counts_.turns, said.content});
    if (said.calls.empty() && (!said.missing_opener || is_answer(said.content))) {
      answer_ = said.content;
      done_ = true;
      return {};
    }
    for (const ParsedCall& call : said.calls)
      if (auto step = carry_out(call); !step) return step;
    if (said.calls.empty()) {
      ParsedCall bare;
      bare.text = said.content;
      bare.error = "a call must stand between <tool_call> and </tool_call>";
      return carry_out(bare);
    }
    return {};
  }

  // JSON that was asked for may look like a call: {"name": "read_file", …}.
  bool is_answer(const std::string& text) const {
    if (!options_.answer_schema) return false;
    const auto value = Json::parse(text, "answer");
    return value && check_json(*options_.answer_schema, *value);
  }

  Step ask_model(Reply& reply) {
    const int64_t allowed = std::min(options_.budget.next_answer(own()), options_.run_budget.next_answer(counts_));
    auto answered = model_.reply(conversation_, allowed, [&](std::string_view text) {
      if (options_.on_text && !text.empty()) options_.on_text(text);
      return !cancelled() && !out_of_time();
    });
    if (!answered) return stop(answered.error().message);
    reply = std::move(*answered);
    ++counts_.turns;
    counts_.prompt_tokens += reply.prompt_tokens;
    counts_.reused_tokens += reply.reused_tokens;
    counts_.tokens += reply.tokens;
    counts_.prefill_s += reply.prefill_s;
    counts_.decode_s += reply.decode_s;
    counts_.cost += options_.budget.prices.of_tokens(reply.prompt_tokens - reply.reused_tokens, reply.tokens);
    emit(TurnEvent{counts_.turns, reply.prompt_tokens, reply.reused_tokens, reply.tokens, reply.prefill_s, reply.decode_s,
                   reply.text});
    if (options_.budget.context && reply.prompt_tokens > *options_.budget.context)
      return stop(fmt::format("the budget of {} tokens in the context is used up", *options_.budget.context));
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
    conversation_.messages.push_back(std::move(message));
  }

  Step carry_out(const ParsedCall& parsed) {
    if (auto step = may_go_on(); !step) return step;
    if (std::string reason = no_call(); !reason.empty()) return stop(std::move(reason));
    ++counts_.calls;
    const ToolCall& call = parsed.call;
    emit(CallEvent{counts_.calls, call.name, parsed.error ? Json(parsed.text) : call.arguments});
    ResultEvent result{.call = counts_.calls, .name = call.name, .text = {}};
    const Tool* tool = tools_.find(call.name);
    if (const std::string wrong = what_is_wrong(parsed, tool); !wrong.empty()) {
      ++counts_.malformed;
      result.malformed = true;
      set(result, {"error: " + wrong, true});
    } else {
      std::string refusal;
      if (auto step = ask_user(*tool, call, refusal); !step) return step;
      const bool allowed = refusal.empty();
      const auto start = Clock::now();  // the time somebody took to answer is not the tool's
      set(result, allowed ? execute(*tool, call) : ToolResult{"error: not allowed: " + refusal, true});
      result.seconds = seconds_since(start);
      if (!allowed)
        ++counts_.refused;
      else
        counts_.cost += options_.budget.prices.of_call(call.name);
      if (allowed && tool->changes && !result.is_error) ++counts_.changes;
    }
    counts_.tools_s += result.seconds;
    add_message(Role::tool, result.text);
    emit(result);
    return count_failures(result, tool, parsed);
  }

  // The one line that tells a model why its call cannot be carried out; empty when it can.
  std::string what_is_wrong(const ParsedCall& parsed, const Tool* tool) const {
    if (parsed.error) return *parsed.error;
    if (!tool) return fmt::format("no such tool: {}", parsed.call.name);
    const auto fits = check_arguments(tool->definition, parsed.call.arguments);
    return fits ? std::string() : fits.error().message;
  }

  Verdict verdict(const Tool& tool, const ToolCall& call) const {
    if (options_.policy) return options_.policy(tool, call);
    return tool.changes ? Verdict::ask : Verdict::allow;
  }

  // refusal: why the call may not be carried out; empty when it may.
  Step ask_user(const Tool& tool, const ToolCall& call, std::string& refusal) {
    const Verdict said = verdict(tool, call);
    if (said == Verdict::deny) {
      refusal = "the task's policy refuses this call";
      emit(ConfirmEvent{counts_.calls, false, "refused by policy"});
      return {};
    }
    if (said == Verdict::allow || allow_all_ || options_.changes == ChangePolicy::preview) return {};
    const std::string unconfirmed = "changes need a confirmation, and this one was refused";
    if (!options_.confirm) {
      refusal = unconfirmed;
      emit(ConfirmEvent{counts_.calls, false, "nobody is there to confirm it"});
      return {};
    }
    const Decision decision = options_.confirm(tool, call);
    if (cancelled()) return cancel("interrupted");
    allow_all_ = decision == Decision::all;
    const bool allowed = decision == Decision::yes || decision == Decision::all;
    if (!allowed) refusal = unconfirmed;
    emit(ConfirmEvent{counts_.calls, allowed, allow_all_ ? "this and all that follow" : "asked"});
    return decision == Decision::quit ? Step(cancel("ended at a confirmation")) : Step{};
  }

  ToolResult execute(const Tool& tool, const ToolCall& call) const {
    const CallContext context{.cancelled = [&] { return cancelled() || out_of_time(); }, .on_output = options_.on_output};
    try {
      if (!tool.changes || options_.changes != ChangePolicy::preview) return tool.execute(call.arguments, context);
      return tool.preview ? tool.preview(call.arguments, context) : ToolResult{"done", false};
    } catch (const SystemError& e) {
      return {fmt::format("error: {}", e.what()), true};
    }
  }

  // Whatever a tool returned, the prompt stays valid text of bounded length.
  static void set(ResultEvent& result, ToolResult from) {
    result.is_error = from.is_error;
    result.text = replace_invalid_utf8(from.text);
    if (result.text.size() <= kMaxResultBytes) return;
    const size_t whole = result.text.size();
    result.text.resize(complete_utf8_prefix(std::string_view(result.text).substr(0, kMaxResultBytes)));
    result.text += fmt::format("\n(only the first {} of {} bytes are shown)", result.text.size(), whole);
  }

  Step count_failures(const ResultEvent& result, const Tool* tool, const ParsedCall& parsed) {
    if (!result.is_error) {
      if (tool->changes) failures_.clear();  // the world is another one now: what failed may work
      return {};
    }
    ++counts_.errors;
    const std::string key = parsed.error ? parsed.text : parsed.call.name + " " + parsed.call.arguments.dump();
    if (++failures_[key] < kSameFailures) return {};
    return stop(fmt::format("the same call failed {} times: {}", kSameFailures, result.text));
  }

  Step verify() {
    if (own().refused > 0 && own().changes == 0) return stop("nothing was changed: no change was confirmed");
    verified_ = true;
    if (!options_.check || options_.changes == ChangePolicy::preview) return {};
    const auto start = Clock::now();
    const auto checked = options_.check(answer_);
    if (cancelled()) return cancel("interrupted");
    if (!checked) return stop(fmt::format("check: {}", checked.error().message));
    check_passed_ = checked->passed;
    emit(CheckEvent{checked->passed, checked->output, seconds_since(start)});
    if (checked->passed) return {};
    if (own().retries == options_.retries) return stop("the task's check failed");
    try_again(*checked);
    return {};
  }

  void try_again(const CheckResult& checked) {
    ++counts_.retries;
    std::string text = "A check of what you did failed. Find out why, put it right, and say what you did when you are done.";
    if (!checked.output.empty()) text += "\nIt said:\n" + replace_invalid_utf8(checked.output);
    add_message(Role::user, std::move(text));
    failures_.clear();
    done_ = verified_ = false;
  }

  ChatModel& model_;
  const ToolRegistry& tools_;
  const LoopOptions& options_;
  Conversation own_conversation_;
  Conversation& conversation_;
  RunCounts counts_;
  std::map<std::string, int> failures_;
  std::string answer_;
  std::optional<bool> check_passed_;
  bool allow_all_, done_ = false, verified_ = false;
  const Clock::time_point start_ = Clock::now();
};

}  // namespace

EndEvent run_loop(ChatModel& model, const ToolRegistry& tools, const LoopOptions& options) {
  return Loop(model, tools, options).run();
}

}  // namespace quern
