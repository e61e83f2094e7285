// JSON texts that satisfy a JSON Schema, as a byte automaton. JSON's nesting is the same for every way of reading a text, so all
// alternatives walk it together: a *frame* is an open array or object with a thread for each alternative that is still possible, a
// *pending* value (pending.h) may satisfy any of several goals. Frames, pendings and controls are interned, which makes the whole a DFA
// over the configurations that were met.
//
// Texts are spelled as a plain dump spells them: one optional space after ',' and ':', strings as lexer.h says, no repeated names.
// Inside a larger machine, whose text goes on before and after the value: the texts given to step() may begin with anything, for only
// what came since start() is looked at; and the machines share one `Languages`.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "constrain/languages.h"
#include "constrain/machine.h"
#include "constrain/pending.h"
#include "constrain/schema_shapes.h"

namespace quern {

enum class JsonSpacing {
  optional,  // one space or none after ',' and ':'
  always,    // exactly one, as the family's chat templates write calls
};

struct SchemaMachineOptions {
  SchemaOptions schema;
  JsonSpacing spacing = JsonSpacing::optional;
  size_t max_bytes = 256u << 20;         // of interned memory; past it healthy() is an error
  size_t max_depth = Json::kMaxDepth;    // arrays and objects inside one another, as the text's reader bounds them
  Json also = true;                      // another schema that the value has to satisfy, from outside the document
  std::shared_ptr<Languages> languages;  // nullptr: the machine's own
};

class SchemaMachine : public Machine {
 public:
  // nullptr and a refusal when the schema cannot be enforced exactly.
  static std::unique_ptr<SchemaMachine> compile(Json schema, const SchemaMachineOptions& options, Refusal& refusal);
  ~SchemaMachine() override;

  State start() override;
  // A value that may satisfy several of the machine's goals at once, and, where it is complete, which of them it does. Sorted, no repeats.
  State start(std::span<const GoalId> goals, int32_t room);
  std::vector<bool> satisfied(State state, size_t num_goals) const;
  std::optional<State> step(State state, uint8_t byte, std::string_view text) override;
  State settle(State state, std::string_view text) override;
  bool can_end(State state, std::string_view text) override;
  Lexer* lexer() override { return &languages_->lexer; }
  std::optional<uint64_t> key(State state) override;
  Result<void> healthy() const override;
  size_t bytes() const override;
  SchemaShapes& shapes() { return *shapes_; }
  GoalId root() const { return root_; }

 private:
  enum class Phase : uint8_t { value, string, bare, object_open, before_key, key, after_key, after_value, done };
  enum class FrameKind : uint8_t { root, array, object };
  using Id = uint32_t;

  struct Frame {
    FrameKind kind = FrameKind::root;
    Id parent = 0, above = 0;     // the frame around, and the pending value this container is
    std::vector<Thread> threads;  // sorted; empty while a value is pending
    Id names = 0;                 // those the object has so far, where somebody will ask
    uint32_t value_start = 0;     // where in the text the container began, where somebody will ask
    friend bool operator==(const Frame&, const Frame&) = default;
  };
  struct Control {
    Phase phase = Phase::done;
    bool space = false;  // a space may come first
    bool close = false;  // value: the array may end instead
    // The name or item that begins at State.mark in the text is still to be remembered by the frame. Left until a token is taken: walking
    // ahead meets names and items by the hundred.
    bool unsettled = false;
    Id frame = 0, pending = 0;
    friend bool operator==(const Control&, const Control&) = default;
  };
  struct Hash {
    uint64_t operator()(const Frame& f) const;
    uint64_t operator()(const Control& c) const;
  };
  struct NameList {  // names already in an object, newest first
    Id rest = 0;
    std::string name;
    friend bool operator==(const NameList&, const NameList&) = default;
  };
  struct NameHash {
    uint64_t operator()(const NameList& l) const;
  };
  struct ControlMemo {                             // of one control
    std::vector<std::pair<uint8_t, State>> steps;  // structural steps that no text decides; marks count from the text's end
    Id after_other_name = 0;                       // key: the control after any name that no thread knows; 0: not asked yet
  };

  SchemaMachine(Json schema, const SchemaMachineOptions& options, Refusal& refusal);
  std::optional<State> structural(State state, uint8_t byte, std::string_view text);
  std::optional<State> structural_step(const Control& control, uint8_t byte, std::string_view text);
  std::optional<State> begin_value(const Control& control, uint8_t byte, std::string_view text);
  std::optional<State> open(const Control& control, FrameKind kind, std::string_view text);
  std::optional<State> begin_key(const Control& control, std::string_view text);
  std::optional<State> end_key(State state, std::string_view text);
  Control settled(const Control& control, size_t mark, std::string_view text);
  bool knows_no(std::string_view name, const std::vector<Thread>& threads);
  ControlMemo& memo(Id control);
  std::optional<State> close(const Frame& frame, std::string_view text, char bracket);
  std::optional<State> comma(const Control& control);
  // The value pending around `frame_id` satisfies these slots. `text`: the value's own, where its frame wants it.
  std::optional<State> complete(Id frame_id, Id pending_id, const std::vector<bool>& satisfied, std::string_view value_text,
                                size_t value_start);
  bool asks_names(const std::vector<Thread>& threads) const;
  Id around_value(const Control& control);
  bool wants_text(const Pending& pending) const;
  uint32_t parts_state(const Control& control, bool strings);
  State at(const Control& control, uint32_t lex = 0, size_t mark = 0) {
    return {.control = controls_.id(control), .lex = lex, .mark = static_cast<uint32_t>(mark)};
  }

  std::shared_ptr<Languages> languages_;
  Exprs& exprs_;
  Lexer& lexer_;
  std::unique_ptr<SchemaDocument> document_;
  std::unique_ptr<SchemaAlgebra> algebra_;
  std::unique_ptr<SchemaShapes> shapes_;
  SchemaMachineOptions options_;
  GoalId root_ = 0;
  bool text_matters_ = false;  // uniqueItems somewhere: what may come depends on the text itself

  Interner<Pending, PendingHash> pendings_;
  Interner<Frame, Hash> frames_;
  Interner<Control, Hash> controls_;
  Interner<NameList, NameHash> name_lists_;
  std::unordered_map<uint64_t, uint32_t> lex_starts_;  // by pending and kind
  std::deque<ControlMemo> memos_;                      // by control
};

}  // namespace quern
