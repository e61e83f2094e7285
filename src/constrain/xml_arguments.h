// A tool call's arguments as the XML format spells them, up to and with </function>, as a byte automaton over the same alternatives as
// SchemaMachine has:
//   <parameter=NAME>\nVALUE\n</parameter>\n  …  </function>
// in any order, each name at most once. A string is its own characters, unescaped; everything else is JSON. Where the schema admits both
// for a value, strings are left out that read as one of the other kinds it admits: a reader tries those first. Strings in which a line
// begins with </parameter> cannot be spelled, nor names with '<', '>' or control characters.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "constrain/languages.h"
#include "constrain/pending.h"
#include "constrain/schema_machine.h"

namespace quern {

class XmlArguments : public Machine {
 public:
  // nullptr and a refusal when the schema cannot be enforced exactly. `options.also` is this class's own.
  static std::unique_ptr<XmlArguments> compile(Json schema, SchemaMachineOptions options, Refusal& refusal);

  State start() override;
  std::optional<State> step(State state, uint8_t byte, std::string_view text) override;
  State settle(State state, std::string_view text) override;
  bool can_end(State state, std::string_view) override { return controls_[state.control].phase == Phase::done; }
  Lexer* lexer() override { return json_->lexer(); }
  std::optional<uint64_t> key(State state) override;
  Result<void> healthy() const override;
  size_t bytes() const override;

  // What the next byte belongs to. A value that is no array or object ends with kValueEnd, whose bytes count as the value's.
  enum class Part : uint8_t { tags, name, json, value, raw_string, scalar };  // value: a string or a scalar, not yet known which
  Part part(State state);
  static constexpr std::string_view kValueEnd = "\n</parameter>\n";

 private:
  using Id = uint32_t;
  enum class Phase : uint8_t {
    tag,    // '<' comes, or has come
    open,   // in kOpen
    name,   // a lexeme, up to '>'
    begin,  // the line break before a value, and the value's first byte
    value,  // a lexeme: a raw string or a scalar, with all of kValueEnd but its last byte
    json,   // an array or object
    end,    // behind that, in kValueEnd
    close,  // in kClose
    done,
  };
  struct Frame {
    std::vector<Thread> threads;  // sorted; empty while a value is pending
    Id names = 0;                 // those there are, where somebody will ask
    friend bool operator==(const Frame&, const Frame&) = default;
  };
  struct Control {
    Phase phase = Phase::done;
    bool named = false;  // begin: the parameter's name, at State.mark in the text, is not yet among the frame's names
    Id frame = 0, pending = 0;
    uint32_t at = 0;  // position in a tag; json: the control of its machine
    friend bool operator==(const Control&, const Control&) = default;
  };
  using Names = std::vector<std::string>;  // sorted
  struct Hash {
    uint64_t operator()(const Frame& f) const;
    uint64_t operator()(const Control& c) const;
    uint64_t operator()(const Names& n) const;
  };

  explicit XmlArguments(std::unique_ptr<SchemaMachine> json, std::shared_ptr<Languages> languages);
  std::optional<State> tag(const Control& control, uint8_t byte);
  std::optional<State> end_name(const Control& control, size_t mark, std::string_view text);
  Control with_name(const Control& control, size_t mark, std::string_view text);
  std::optional<State> begin_value(const Control& control, uint8_t byte, std::string_view text);
  std::optional<State> end_value(const Control& control, const std::vector<bool>& satisfied, Phase behind);
  uint32_t names_lexeme(Id frame);
  uint32_t value_lexeme(Id pending);
  ExprId readable(const Pending& pending, ExprId scalars);  // strings that a reader takes for another kind of value
  State at(const Control& control, uint32_t lex = 0, size_t mark = 0) {
    return {.control = controls_.id(control), .lex = lex, .mark = static_cast<uint32_t>(mark)};
  }

  std::shared_ptr<Languages> languages_;
  std::unique_ptr<SchemaMachine> json_;
  SchemaShapes& shapes_;
  Interner<Frame, Hash> frames_;
  Interner<Pending, PendingHash> pendings_;
  Interner<Control, Hash> controls_;
  Interner<Names, Hash> name_lists_;
  std::unordered_map<Id, uint32_t> name_lexemes_, value_lexemes_;  // by frame; by pending
};

}  // namespace quern
