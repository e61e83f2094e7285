#include "constrain/constraint.h"

#include <algorithm>

#include "base/utf8.h"
#include "constrain/grammar_machine.h"
#include "constrain/regex.h"

namespace quern {
namespace {

// One lexeme from end to end.
class RegexMachine : public Machine {
 public:
  static Result<std::unique_ptr<Machine>> create(std::string_view pattern) {
    std::unique_ptr<RegexMachine> machine(new RegexMachine);
    QUERN_ASSIGN(const ExprId language, parse_regex(machine->exprs_, pattern, RegexSemantics::whole));
    machine->start_ = machine->lexer_.start(Lexer::Coding::text, std::span(&language, 1));
    if (machine->start_ == Lexer::kDead) return fail(Errc::unsupported, "pattern '{}': no text matches it", pattern);
    QUERN_TRY(machine->healthy());
    return machine;
  }

  State start() override { return {.control = 0, .lex = start_, .mark = 0}; }
  std::optional<State> step(State state, uint8_t byte, std::string_view) override {
    const uint32_t next = lexer_.next(state.lex, byte);
    if (next == Lexer::kDead) return std::nullopt;
    return State{.control = 0, .lex = next, .mark = 0};
  }
  bool can_end(State state, std::string_view) override { return lexer_.accepts(state.lex); }
  Lexer* lexer() override { return &lexer_; }
  Result<void> healthy() const override {
    if (exprs_.exhausted()) return fail(Errc::out_of_range, "the pattern needs too many states");
    return {};
  }
  size_t bytes() const override { return exprs_.bytes() + lexer_.bytes(); }

 private:
  RegexMachine() : lexer_(exprs_) {}

  Exprs exprs_;
  Lexer lexer_;
  uint32_t start_ = 0;
};

}  // namespace

Result<std::unique_ptr<Machine>> compile_schema(const Json& schema, const SchemaMachineOptions& options) {
  Refusal refusal;
  auto machine = SchemaMachine::compile(schema, options, refusal);
  if (!machine) return fail(Errc::unsupported, "schema: {}: {}", refusal.path, refusal.reason);
  return machine;
}

Result<void> check_json(const Json& schema, const Json& value) {
  QUERN_ASSIGN(const auto machine, compile_schema(schema, {}));
  const std::string dumped = value.dump();
  const std::string_view text = dumped;
  auto state = std::optional(machine->start());
  size_t at = 0;
  while (at < text.size()) {
    state = machine->step(*state, static_cast<uint8_t>(text[at]), text.substr(0, at));
    if (!state) break;
    ++at;
  }
  QUERN_TRY(machine->healthy());
  if (state && machine->can_end(*state, text)) return {};
  const size_t from = at > 60 ? at - 60 : 0;
  return fail(Errc::mismatch, "does not satisfy the schema: refused {} {}{} here> {}", at == text.size() ? "at its end," : "at",
              from > 0 ? "…" : "", replace_invalid_utf8(text.substr(from, at - from)),
              replace_invalid_utf8(text.substr(at, std::min<size_t>(20, text.size() - at))));
}

Result<std::unique_ptr<Machine>> compile_any_json() {
  return compile_schema(Json(true), {.schema = {.numbers = NumberSpelling::shortest}});
}

Result<std::unique_ptr<Machine>> compile_regex(std::string_view pattern) { return RegexMachine::create(pattern); }

Result<std::unique_ptr<Machine>> compile_grammar(std::string_view gbnf) {
  QUERN_ASSIGN(auto machine, GrammarMachine::create(gbnf));
  return machine;
}

}  // namespace quern
