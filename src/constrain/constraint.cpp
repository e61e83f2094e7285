#include "constrain/constraint.h"

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

Result<std::unique_ptr<Machine>> compile_any_json() {
  return compile_schema(Json(true), {.schema = {.numbers = NumberSpelling::shortest}});
}

Result<std::unique_ptr<Machine>> compile_regex(std::string_view pattern) { return RegexMachine::create(pattern); }

Result<std::unique_ptr<Machine>> compile_grammar(std::string_view gbnf) {
  QUERN_ASSIGN(auto machine, GrammarMachine::create(gbnf));
  return machine;
}

}  // namespace quern
