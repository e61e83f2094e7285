// State.control is a phase with its counters, or (kQuoteBit) the automaton's state inside a verbatim quote, whose counters are in
// State.mark.
#include "constrain/quoted_answer.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/utf8.h"
#include "constrain/free_text.h"
#include "constrain/languages.h"
#include "constrain/suffix_automaton.h"

namespace quern {
namespace {

constexpr std::string_view kThinkEnd = "</think>";
constexpr size_t kMaxName = 4096;  // bytes as JSON spells it

enum class Phase : uint8_t {
  reasoning,   // a lexeme, up to and with </think>
  literal,     // the rest of one of kLiterals
  first,       // behind the opening bracket: a quote, or the end of the list
  name,        // between sorted names: State.mark is the first one with this beginning
  free_quote,  // a lexeme
  more,        // behind a quote: a comma, or the end of the list
  answer,      // a lexeme
  done,
};

// The fixed texts between the parts, and what stands behind each.
enum class Literal : uint8_t { behind_reasoning, head, quote_open, quote_text, quote_close, tail, end };
constexpr std::array<std::string_view, 7> kLiterals = {
    "\n\n", R"({"quotes": [)", R"({"document": ")", R"(, "text": ")", "}", R"(, "answer": ")", "}",
};

struct Control {
  Phase phase = Phase::done;
  Literal literal = Literal::end;
  uint16_t at = 0;     // bytes of the literal or name so far
  uint8_t quotes = 0;  // begun so far

  uint32_t packed() const {
    return static_cast<uint32_t>(phase) << 28 | static_cast<uint32_t>(literal) << 24 | static_cast<uint32_t>(quotes) << 16 | at;
  }
  static Control unpacked(uint32_t bits) {
    return {static_cast<Phase>(bits >> 28), static_cast<Literal>(bits >> 24 & 15), static_cast<uint16_t>(bits & 0xFFFF),
            static_cast<uint8_t>(bits >> 16 & 255)};
  }
};
constexpr uint32_t kQuoteBit = 0x80000000;
static_assert(static_cast<uint32_t>(Phase::done) < 8, "kQuoteBit is free");

// How far a character's spelling inside a JSON string has come.
enum class Escape : uint8_t { none, backslash, u, u0, u00, u000, u001 };

struct Quote {
  SuffixAutomaton::State state = 0;
  Escape escape = Escape::none;
  uint8_t quotes = 0;   // with this one
  uint32_t length = 0;  // characters begun

  Machine::State packed() const {
    return {kQuoteBit | state, 0, static_cast<uint32_t>(escape) << 28 | static_cast<uint32_t>(quotes) << 20 | length};
  }
  static Quote unpacked(Machine::State s) {
    return {s.control & ~kQuoteBit, static_cast<Escape>(s.mark >> 28), static_cast<uint8_t>(s.mark >> 20 & 255), s.mark & 0xFFFFF};
  }
};
constexpr int32_t kMaxQuoteLength = 1'000'000;
constexpr uint32_t kLongestToken = 256, kAtBeginning = kLongestToken + 1;
static_assert(kMaxQuoteLength < 1 << 20);

constexpr std::string_view kShort = "\"\\bfnrt", kShortMeans = "\"\\\b\f\n\r\t";  // escapes of one letter

constexpr bool is_short(uint8_t byte) { return kShortMeans.find(static_cast<char>(byte)) != std::string_view::npos; }
constexpr bool is_escaped(uint8_t byte) { return byte < 0x20 || byte == '"' || byte == '\\'; }
constexpr bool is_space(uint8_t byte) { return byte == ' ' || (byte >= 9 && byte <= 13); }
constexpr bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }
constexpr bool begins_quote(uint8_t byte) { return !is_space(byte) && !is_continuation(byte); }

class QuotedAnswer : public Machine {
 public:
  explicit QuotedAnswer(const QuotedAnswerOptions& options) : options_(options) {
    options_.documents.clear();
    Exprs& exprs = languages_.exprs;
    const ExprId reasoning = exprs.concat(free_of(exprs, kThinkEnd), exprs.literal(kThinkEnd));
    const ExprId some = exprs.length(1, Exprs::kUnbounded), quote = exprs.length(1, options.max_quote);
    reasoning_ = languages_.lexer.start(Lexer::Coding::text, std::span(&reasoning, 1));
    answer_ = languages_.lexer.start(Lexer::Coding::json_string, std::span(&some, 1));
    free_quote_ = languages_.lexer.start(Lexer::Coding::json_string, std::span(&quote, 1));
  }

  Result<void> add(const QuotedAnswerOptions::Document& document) {
    if (find_invalid_utf8(document.name) != std::string_view::npos)
      return fail(Errc::invalid_argument, "a document's name is not UTF-8");
    std::string spelled;
    append_json_string(spelled, document.name);
    spelled.erase(0, 1);  // the opening quote is the literal's
    if (spelled.size() > kMaxName) return fail(Errc::invalid_argument, "a document's name is longer than {} bytes", kMaxName);
    SuffixAutomaton::State root = 0;
    if (options_.verbatim) {
      QUERN_ASSIGN(root, automaton_.add_set(document.passages));
      if (!automaton_.any_edge(root, begins_quote)) return {};
    }
    names_.push_back({std::move(spelled), root});
    return {};
  }

  Result<void> finish() {
    std::sort(names_.begin(), names_.end(), [](const Name& a, const Name& b) { return a.spelled < b.spelled; });
    for (size_t i = 1; i < names_.size(); ++i)
      if (names_[i].spelled == names_[i - 1].spelled)
        return fail(Errc::invalid_argument, "two documents of the name \"{}", names_[i].spelled);
    return healthy();
  }

  State start() override {
    if (options_.thinking) return {Control{.phase = Phase::reasoning}.packed(), reasoning_, 0};
    return literal(Literal::head, 0);
  }

  std::optional<State> step(State state, uint8_t byte, std::string_view text) override {
    if (state.control & kQuoteBit) return step_quote(Quote::unpacked(state), byte);
    const Control c = Control::unpacked(state.control);
    if (state.lex != 0) {
      const uint32_t next = languages_.lexer.next(state.lex, byte);
      if (next != Lexer::kDead && next != Lexer::kEnd) return State{state.control, next, 0};
      if (c.phase == Phase::reasoning)
        return languages_.lexer.accepts(state.lex) ? step(literal(Literal::behind_reasoning, 0), byte, text) : std::nullopt;
      if (next == Lexer::kDead) return std::nullopt;
      return c.phase == Phase::answer ? literal(Literal::end, c.quotes) : literal(Literal::quote_close, c.quotes);
    }
    switch (c.phase) {
      case Phase::literal:
        return step_literal(c, byte, state.mark);
      case Phase::name:
        return step_name(c, byte, state.mark);
      case Phase::first:
      case Phase::more:
        return step_list(c, byte);
      default:
        return std::nullopt;
    }
  }

  bool can_end(State state, std::string_view) override { return state.control == Control{}.packed(); }
  Lexer* lexer() override { return &languages_.lexer; }
  std::optional<uint64_t> key(State state) override {
    if (state.control &
        kQuoteBit) {  // the bound on the length is seen from a token's length away; the beginning differs from the rest
      Quote q = Quote::unpacked(state);
      const uint32_t left = static_cast<uint32_t>(options_.max_quote) - q.length;
      q.length = q.length == 0 ? kAtBeginning : std::min(left, kLongestToken);
      state = q.packed();
    }
    return static_cast<uint64_t>(state.control) << 32 | (state.lex != 0 ? state.lex : state.mark);
  }
  Result<void> healthy() const override {
    if (languages_.exprs.exhausted()) return fail(Errc::out_of_range, "the answer's constraint needs too many states");
    return {};
  }
  size_t bytes() const override { return automaton_.bytes() + languages_.bytes(); }

 private:
  struct Name {
    std::string spelled;  // with the closing quote
    SuffixAutomaton::State root;
  };

  // At the start of a literal, `document` of quote_text: whose text follows.
  static State literal(Literal which, uint8_t quotes, uint32_t document = 0) {
    return {Control{.phase = Phase::literal, .literal = which, .quotes = quotes}.packed(), 0, document};
  }

  std::optional<State> step_literal(Control c, uint8_t byte, uint32_t mark) {
    const std::string_view text = kLiterals[static_cast<size_t>(c.literal)];
    if (static_cast<uint8_t>(text[c.at]) != byte) return std::nullopt;
    if (++c.at < text.size()) return State{c.packed(), 0, mark};
    switch (c.literal) {
      case Literal::behind_reasoning:
        return literal(Literal::head, 0);
      case Literal::head:
        return State{Control{.phase = Phase::first}.packed(), 0, 0};
      case Literal::quote_open:
        return State{Control{.phase = Phase::name, .quotes = c.quotes}.packed(), 0, 0};
      case Literal::quote_text:
        if (options_.verbatim) return Quote{.state = names_[mark].root, .quotes = c.quotes}.packed();
        return State{Control{.phase = Phase::free_quote, .quotes = c.quotes}.packed(), free_quote_, 0};
      case Literal::quote_close:
        return State{Control{.phase = Phase::more, .quotes = c.quotes}.packed(), 0, 0};
      case Literal::tail:
        return State{Control{.phase = Phase::answer, .quotes = c.quotes}.packed(), answer_, 0};
      case Literal::end:
        break;
    }
    return State{Control{}.packed(), 0, 0};
  }

  // In the list of quotes, before one or behind one. `more` has read the comma when at == 1, and the space when at == 2.
  std::optional<State> step_list(Control c, uint8_t byte) {
    if (byte == ']' && c.at == 0) return literal(Literal::tail, c.quotes);
    if (c.quotes == options_.max_quotes || names_.empty()) return std::nullopt;
    if (c.phase == Phase::more && c.at < 2) {
      if (byte != (c.at == 0 ? ',' : ' ')) return std::nullopt;
      ++c.at;
      return State{c.packed(), 0, 0};
    }
    return step(literal(Literal::quote_open, static_cast<uint8_t>(c.quotes + 1)), byte, {});
  }

  // names_[first] is the first that begins with the c.at bytes so far.
  std::optional<State> step_name(Control c, uint8_t byte, uint32_t first) {
    const std::string_view so_far = std::string_view(names_[first].spelled).substr(0, c.at);
    const auto begins = [&](const Name& name) { return name.spelled.starts_with(so_far); };
    const auto from = names_.begin() + first;
    const auto end = std::partition_point(from, names_.end(), begins);
    const auto byte_of = [&](const Name& name) { return static_cast<uint8_t>(name.spelled[c.at]); };
    const auto found = std::partition_point(from, end, [&](const Name& name) { return byte_of(name) < byte; });
    if (found == end || byte_of(*found) != byte) return std::nullopt;
    const auto index = static_cast<uint32_t>(found - names_.begin());
    // A quote inside a name is spelled with a backslash, so no name begins like another one's whole spelling.
    if (++c.at == found->spelled.size()) return literal(Literal::quote_text, c.quotes, index);
    return State{c.packed(), 0, index};
  }

  // The character whose (first) byte may come next, with the quote's ends taken into account.
  bool may_come(const Quote& q, uint8_t byte) const {
    if (q.length == 0) return begins_quote(byte);
    return is_continuation(byte) || q.length < static_cast<uint32_t>(options_.max_quote);  // one begun is finished
  }
  template <class F>
  bool some_may_come(const Quote& q, const F& wanted) const {
    return automaton_.any_edge(q.state, [&](uint8_t byte) { return wanted(byte) && may_come(q, byte); });
  }
  std::optional<State> take(Quote q, uint8_t byte) const {
    const auto next = may_come(q, byte) ? automaton_.next(q.state, byte) : std::nullopt;
    if (!next) return std::nullopt;
    q.state = *next;
    q.escape = Escape::none;
    q.length += is_continuation(byte) ? 0 : 1;
    return q.packed();
  }
  template <class F>
  std::optional<State> go_on(Quote q, Escape escape, const F& wanted) const {
    if (!some_may_come(q, wanted)) return std::nullopt;
    q.escape = escape;
    return q.packed();
  }

  std::optional<State> step_quote(const Quote& q, uint8_t byte) const {
    const auto long_escaped = [](uint8_t b) { return b < 0x20 && !is_short(b); };
    switch (q.escape) {
      case Escape::none:
        if (byte == '"') {
          if (q.length == 0 || !automaton_.at_character_end(q.state)) return std::nullopt;
          return literal(Literal::quote_close, q.quotes);
        }
        if (byte == '\\') return go_on(q, Escape::backslash, is_escaped);
        return is_escaped(byte) ? std::nullopt : take(q, byte);
      case Escape::backslash:
        if (byte == 'u') return go_on(q, Escape::u, long_escaped);
        if (const size_t at = kShort.find(static_cast<char>(byte)); at != std::string_view::npos)
          return take(q, static_cast<uint8_t>(kShortMeans[at]));
        return std::nullopt;
      case Escape::u:
        return byte == '0' ? go_on(q, Escape::u0, long_escaped) : std::nullopt;
      case Escape::u0:
        return byte == '0' ? go_on(q, Escape::u00, long_escaped) : std::nullopt;
      case Escape::u00:
        if (byte == '0') return go_on(q, Escape::u000, [&](uint8_t b) { return long_escaped(b) && b < 0x10; });
        if (byte == '1') return go_on(q, Escape::u001, [&](uint8_t b) { return long_escaped(b) && b >= 0x10; });
        return std::nullopt;
      case Escape::u000:
      case Escape::u001:
        break;
    }
    const size_t digit = std::string_view("0123456789abcdef").find(static_cast<char>(byte));
    if (digit == std::string_view::npos) return std::nullopt;
    const auto meant = static_cast<uint8_t>(digit + (q.escape == Escape::u001 ? 16 : 0));
    return long_escaped(meant) ? take(q, meant) : std::nullopt;
  }

  QuotedAnswerOptions options_;
  Languages languages_;
  SuffixAutomaton automaton_;
  std::vector<Name> names_;  // sorted
  uint32_t reasoning_ = 0, answer_ = 0, free_quote_ = 0;
};

}  // namespace

Result<std::unique_ptr<Machine>> compile_quoted_answer(const QuotedAnswerOptions& options) {
  if (options.max_quotes < 1 || options.max_quotes > 255 || options.max_quote < 1 || options.max_quote > kMaxQuoteLength)
    return fail(Errc::invalid_argument, "quotes: from 1 to 255 of 1 to {} characters", kMaxQuoteLength);
  auto machine = std::make_unique<QuotedAnswer>(options);
  for (const auto& document : options.documents) QUERN_TRY(machine->add(document));
  QUERN_TRY(machine->finish());
  return machine;
}

}  // namespace quern
