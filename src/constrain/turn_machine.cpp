#include "constrain/turn_machine.h"

#include <algorithm>

#include "base/utf8.h"
#include "constrain/free_text.h"
#include "constrain/interner.h"
#include "constrain/xml_arguments.h"
#include "text/conversation.h"

namespace quern {
namespace {

constexpr std::string_view kThinkEnd = "</think>", kCallBegin = "<tool_call>", kCallEnd = "</tool_call>";
constexpr std::string_view kBehindReasoning = "\n\n";  // where a call has to come, as the template writes it
constexpr Exprs::Limits kLimits{.nodes = 2'000'000, .transition_ranges = 8'000'000};  // of all tools together

enum class Phase : uint8_t {
  reasoning,
  text,       // a: 1 where a call may begin
  gap,        // behind the reasoning; a: position in kBehindReasoning
  head,       // a call up to its arguments; a: the first of the heads that begin like this, b: bytes of it so far
  arguments,  // a: tool, b: control of its own machine
  closing,    // a: tool, b: bytes so far
  first,      // where the answer begins, or a call; b: control of the answer's machine
  answer,     // b: control of the answer's machine
  between,    // behind a call where text may not follow: the end, or another call on the next line
};

struct Control {
  Phase phase = Phase::text;
  uint32_t a = 0, b = 0;
  friend bool operator==(const Control&, const Control&) = default;
};
struct ControlHash {
  uint64_t operator()(const Control& c) const {
    HashMix h;
    h.add(static_cast<uint64_t>(c.phase));
    h.add((static_cast<uint64_t>(c.a) << 32) | c.b);
    return h.value();
  }
};

// The arguments' own machines are nested as they are: their states' `lex` and `mark` are this machine's, their control is a part of this
// machine's, and all walk one lexer.
class Turn : public TurnMachine {
 public:
  explicit Turn(const TurnOptions& options) : options_(options) {}

  Result<void> compile() {
    std::vector<std::string> names;
    for (const Json& tool : options_.tools) {
      QUERN_TRY(add_tool(tool));
      names.push_back(tools_.back().name);
    }
    QUERN_TRY(choose());
    QUERN_TRY(add_answer());
    Exprs& exprs = languages_->exprs;
    const ExprId text = exprs.both(free_text(exprs, names), free_of(exprs, kCallEnd));
    text_ = passage(exprs.both(text, free_of(exprs, kCallBegin)), {});
    text_or_call_ = passage(text, kCallBegin);
    reasoning_ = passage(Exprs::kAll, kThinkEnd);
    return healthy();
  }

  State start() override { return options_.thinking ? at({.phase = Phase::reasoning}, reasoning_) : answer(); }

  std::optional<State> step(State state, uint8_t byte, std::string_view text) override {
    if (state.lex != 0) {
      const uint32_t next = languages_->lexer.next(state.lex, byte);
      if (next != Lexer::kDead && next != Lexer::kEnd) return State{state.control, next, state.mark};
    }
    const Control c = controls_[state.control];
    switch (c.phase) {
      case Phase::reasoning:
        if (!closes(state, byte)) return std::nullopt;
        return must_call() || answer_ ? at({.phase = Phase::gap}) : answer();
      case Phase::text:
        // The opener is one token and the spelled word the same bytes: both open a call wherever they stand, in a code fence too, because
        // that is how the family's parsers read them.
        if (c.a == 0 || !closes(state, byte)) return std::nullopt;
        return at({.phase = Phase::head, .a = 0, .b = static_cast<uint32_t>(kCallBegin.size())});
      case Phase::gap:
        if (byte != static_cast<uint8_t>(kBehindReasoning[c.a])) return std::nullopt;
        return c.a + 1 < kBehindReasoning.size() ? at({.phase = Phase::gap, .a = c.a + 1}) : answer();
      case Phase::head:
        return head(c, byte);
      case Phase::arguments:
        return arguments(c, state, byte, text);
      case Phase::closing: {
        const std::string_view closing = closing_text();
        if (byte != static_cast<uint8_t>(closing[c.b])) return std::nullopt;
        return c.b + 1 < closing.size() ? at({.phase = Phase::closing, .a = c.a, .b = c.b + 1}) : behind_call();
      }
      case Phase::first:  // no JSON begins with '<', and a call's opener does
        if (byte == '<') return may_call() ? std::optional(at({.phase = Phase::head, .b = 1})) : std::nullopt;
        [[fallthrough]];
      case Phase::answer:
        if (const auto next = answer_->step(inner(c, state), byte, text)) return nested_answer(Phase::answer, *next);
        return std::nullopt;
      case Phase::between:
        if (byte != '\n' || !options_.parallel_calls) return std::nullopt;
        return at({.phase = Phase::head});
    }
    return std::nullopt;
  }

  State settle(State state, std::string_view text) override {
    const Control c = controls_[state.control];
    if (c.phase == Phase::answer) return nested_answer(c.phase, answer_->settle(inner(c, state), text));
    return c.phase == Phase::arguments ? nested(c.a, tools_[c.a].arguments->settle(inner(c, state), text)) : state;
  }

  bool can_end(State state, std::string_view text) override {
    const Control& c = controls_[state.control];
    const Phase phase = c.phase;
    if (phase == Phase::answer) return answer_->can_end(inner(c, state), text);
    return phase == Phase::between || (phase == Phase::text && languages_->lexer.accepts(state.lex, kInside));
  }

  Lexer* lexer() override { return &languages_->lexer; }

  std::optional<uint64_t> key(State state) override {
    const Control& c = controls_[state.control];
    if (c.phase == Phase::arguments && !tools_[c.a].arguments->key(inner(c, state))) return std::nullopt;
    if (c.phase == Phase::answer && !answer_->key(inner(c, state))) return std::nullopt;
    return Machine::key(state);
  }

  Result<void> healthy() const override {
    if (languages_->exprs.exhausted() || bytes() > kMaxBytes)
      return fail(Errc::out_of_range, "the constraint needs more than {} MiB of memory", kMaxBytes >> 20);
    if (answer_) {
      if (const auto health = answer_->healthy(); !health) return with_context(health.error(), "answer");
    }
    for (const Tool& tool : tools_)
      if (const auto health = tool.arguments->healthy(); !health) return with_context(health.error(), "tool '" + tool.name + "'");
    return {};
  }

  size_t bytes() const override {
    size_t total = languages_->bytes() + controls_.size() * 80;
    if (answer_) total += answer_->bytes() - languages_->bytes();
    for (const Tool& tool : tools_) total += tool.arguments->bytes() - languages_->bytes();
    return total;
  }

  Place place(State state) override {
    const Control& c = controls_[state.control];
    switch (c.phase) {
      case Phase::reasoning:
        return {.part = Part::reasoning, .closer = kThinkEnd};
      case Phase::text:
        return {.part = Part::text, .closer = c.a == 1 ? kCallBegin : std::string_view()};
      case Phase::gap:
      case Phase::between:
        return {.part = Part::gap};
      case Phase::first:
      case Phase::answer:
        return {.part = Part::text};
      case Phase::head:
        return {.part = Part::opening};
      case Phase::arguments: {
        XmlArguments* const xml = tools_[c.a].xml;
        return xml ? xml_place(c.a, xml->part(inner(c, state))) : Place{.part = Part::json, .tool = c.a};
      }
      case Phase::closing:
        return {.part = Part::closing, .tool = c.a};
    }
    return {};
  }
  CallFormat format() const override { return options_.format; }
  const std::string& tool_name(uint32_t tool) const override { return tools_[tool].name; }

 private:
  struct Tool {
    std::string name;
    std::unique_ptr<Machine> arguments;
    XmlArguments* xml = nullptr;  // `arguments`, where they are that
  };
  struct Head {
    std::string text;  // no head begins another
    uint32_t tool;
  };
  static constexpr size_t kInside = 0, kAtCloser = 1;  // parts of a passage's lexeme
  static constexpr size_t kMaxBytes = 512u << 20;

  Result<void> add_tool(const Json& tool) {
    const Json& described = tool_function(tool);
    const Json* name = described.find("name");
    if (!name || !name->is_string() || name->as_string().empty() || find_invalid_utf8(name->as_string()) != std::string_view::npos)
      return fail(Errc::invalid_argument, "tools[{}]: expected a name", tools_.size());
    const std::string& spelled = name->as_string();
    if (std::any_of(tools_.begin(), tools_.end(), [&](const Tool& t) { return t.name == spelled; }))
      return fail(Errc::invalid_argument, "tool '{}': offered twice", spelled);
    const Json* parameters = described.find("parameters");
    Json schema = parameters && !parameters->is_null() ? *parameters : Json(true);
    SchemaMachineOptions options{.schema = options_.schema,
                                 .spacing = JsonSpacing::always,
                                 .max_depth = Json::kMaxDepth - 1,  // the call around is an object, in both formats once it is JSON
                                 .languages = languages_};
    Refusal refusal;
    Tool made{.name = spelled};
    if (options_.format == CallFormat::xml) {
      if (std::any_of(spelled.begin(), spelled.end(), [](char c) { return c == '<' || c == '>' || (c >= 0 && c <= ' '); }))
        return fail(Errc::invalid_argument, "tool '{}': the XML format has no white space, '<' or '>' in names", spelled);
      auto machine = XmlArguments::compile(std::move(schema), options, refusal);
      made.xml = machine.get();
      made.arguments = std::move(machine);
    } else {
      options.also = Json::Object{{"type", "object"}};
      made.arguments = SchemaMachine::compile(std::move(schema), options, refusal);
    }
    if (!made.arguments) return fail(Errc::unsupported, "tool '{}': {}: {}", spelled, refusal.path, refusal.reason);
    tools_.push_back(std::move(made));
    return {};
  }

  Result<void> choose() {
    const ToolChoice& choice = options_.choice;
    if (must_call() && tools_.empty()) return fail(Errc::invalid_argument, "a tool call is required, but no tool is offered");
    for (uint32_t i = 0; i < tools_.size(); ++i) {
      if (choice.kind == ToolChoice::Kind::named && tools_[i].name != choice.name) continue;
      heads_.push_back({head_text(tools_[i].name), i});
    }
    if (choice.kind == ToolChoice::Kind::named && heads_.empty())
      return fail(Errc::not_found, "tool '{}': it is chosen, but not offered", choice.name);
    std::sort(heads_.begin(), heads_.end(), [](const Head& x, const Head& y) { return x.text < y.text; });
    return {};
  }

  Result<void> add_answer() {
    if (!options_.answer) return {};
    Refusal refusal;
    answer_ = SchemaMachine::compile(*options_.answer, {.schema = options_.schema, .languages = languages_}, refusal);
    if (!answer_) return fail(Errc::unsupported, "answer: {}: {}", refusal.path, refusal.reason);
    return {};
  }

  // The state at the start of a text of this language up to `closer`, whose last byte ends it; without a closer, up to the end.
  uint32_t passage(ExprId texts, std::string_view closer) {
    Exprs& exprs = languages_->exprs;
    std::vector<ExprId> parts{texts};
    if (!closer.empty()) {
      parts[kInside] = exprs.both(texts, free_of(exprs, closer));
      const ExprId ending = exprs.concat(Exprs::kAll, exprs.literal(closer.substr(0, closer.size() - 1)));
      parts.push_back(exprs.both(parts[kInside], ending));
    }
    return languages_->lexer.start(Lexer::Coding::text, parts);
  }
  bool closes(State state, uint8_t byte) const { return byte == '>' && languages_->lexer.accepts(state.lex, kAtCloser); }

  bool must_call() const {
    return options_.choice.kind == ToolChoice::Kind::required || options_.choice.kind == ToolChoice::Kind::named;
  }
  bool may_call() const { return options_.choice.kind == ToolChoice::Kind::automatic && !tools_.empty(); }
  State answer() {
    if (must_call()) return at({.phase = Phase::head});
    return answer_ ? nested_answer(Phase::first, answer_->start()) : free(true);
  }
  State behind_call() { return must_call() || answer_ ? at({.phase = Phase::between}) : free(options_.parallel_calls); }
  // Text from here on. Behind a call it begins anew, as on a fresh line outside fences.
  State free(bool calls) {
    const bool open = calls && may_call();
    return at({.phase = Phase::text, .a = open ? 1u : 0u}, open ? text_or_call_ : text_);
  }

  std::optional<State> head(const Control& c, uint8_t byte) {
    const std::string_view begin = std::string_view(heads_[c.a].text).substr(0, c.b);
    for (uint32_t i = c.a; i < heads_.size() && heads_[i].text.starts_with(begin); ++i) {
      if (static_cast<uint8_t>(heads_[i].text[c.b]) != byte) continue;
      if (c.b + 1 < heads_[i].text.size()) return at({.phase = Phase::head, .a = i, .b = c.b + 1});
      return nested(heads_[i].tool, tools_[heads_[i].tool].arguments->start());
    }
    return std::nullopt;
  }

  std::optional<State> arguments(const Control& c, State state, uint8_t byte, std::string_view text) {
    const auto next = tools_[c.a].arguments->step(inner(c, state), byte, text);
    if (!next) return std::nullopt;
    if (tools_[c.a].arguments->can_end(*next, text))
      return at({.phase = Phase::closing, .a = c.a});  // an object ends with its brace
    return nested(c.a, *next);
  }
  State nested(uint32_t tool, State own) {
    return {.control = controls_.id({.phase = Phase::arguments, .a = tool, .b = own.control}), .lex = own.lex, .mark = own.mark};
  }
  State nested_answer(Phase phase, State own) {
    return {.control = controls_.id({.phase = phase, .b = own.control}), .lex = own.lex, .mark = own.mark};
  }
  static State inner(const Control& c, State state) { return {.control = c.b, .lex = state.lex, .mark = state.mark}; }

  static Place xml_place(uint32_t tool, XmlArguments::Part part) {
    using enum XmlArguments::Part;
    switch (part) {
      case tags:
        break;
      case name:
        return {.part = Part::parameter_name, .tool = tool, .closer = ">"};
      case json:
        return {.part = Part::json, .tool = tool};
      case value:
        return {.part = Part::parameter_value, .tool = tool, .closer = XmlArguments::kValueEnd};
      case raw_string:
        return {.part = Part::raw_string, .tool = tool, .closer = XmlArguments::kValueEnd};
      case scalar:
        return {.part = Part::scalar, .tool = tool, .closer = XmlArguments::kValueEnd};
    }
    return {.part = Part::parameter_tags, .tool = tool};
  }

  std::string head_text(const std::string& name) const {
    std::string text(kCallBegin);
    if (options_.format == CallFormat::xml) return text + "\n<function=" + name + ">\n";
    text += "\n{\"name\": ";
    append_json_string(text, name);
    return text + ", \"arguments\": ";
  }
  std::string_view closing_text() const { return options_.format == CallFormat::xml ? "\n</tool_call>" : "}\n</tool_call>"; }
  State at(const Control& control, uint32_t lex = 0) { return {.control = controls_.id(control), .lex = lex, .mark = 0}; }

  TurnOptions options_;
  std::shared_ptr<Languages> languages_ = std::make_shared<Languages>(kLimits);
  std::vector<Tool> tools_;
  std::unique_ptr<SchemaMachine> answer_;  // nullptr: any text
  std::vector<Head> heads_;                // sorted
  uint32_t text_ = 0, text_or_call_ = 0, reasoning_ = 0;
  Interner<Control, ControlHash> controls_;
};

}  // namespace

std::string TurnOptions::key() const {
  Json all = Json::array();
  for (const Json& tool : tools) all.push_back(tool);
  const int flags = static_cast<int>(format) | static_cast<int>(choice.kind) << 2 | (thinking ? 16 : 0) |
                    (parallel_calls ? 32 : 0) | (schema.assert_formats ? 64 : 0) | static_cast<int>(schema.numbers) << 7;
  return fmt::format("turn {} {} {} {}", flags, Json(choice.name).dump(), all.dump(), answer ? answer->dump() : "");
}

Result<std::unique_ptr<TurnMachine>> compile_turn(const TurnOptions& options) {
  auto turn = std::make_unique<Turn>(options);
  QUERN_TRY(turn->compile());
  return turn;
}

}  // namespace quern
