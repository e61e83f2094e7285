// JSON texts that satisfy a JSON Schema, as a byte automaton. JSON's nesting is the same for every way of reading a text, so all
// alternatives walk it together: a *frame* is an open array or object with a thread for each alternative that is still possible, a
// *pending* value has a slot for each goal it may satisfy, with the threads that go on when it does. Frames, pendings and controls are
// interned, which makes the whole a DFA over the configurations that were met.
//
// Texts are spelled as a plain dump spells them: one optional space after ',' and ':', strings as lexer.h says, no repeated names.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "constrain/lexer.h"
#include "constrain/machine.h"
#include "constrain/schema_shapes.h"

namespace quern {

enum class JsonSpacing {
  optional,  // one space or none after ',' and ':'
  always,    // exactly one, as the family's chat templates write calls
};

struct SchemaMachineOptions {
  SchemaOptions schema;
  JsonSpacing spacing = JsonSpacing::optional;
  size_t max_bytes = 256u << 20;  // of interned memory; past it healthy() is an error
};

class SchemaMachine : public Machine {
 public:
  // nullptr and a refusal when the schema cannot be enforced exactly.
  static std::unique_ptr<SchemaMachine> compile(Json schema, const SchemaMachineOptions& options, Refusal& refusal);
  ~SchemaMachine() override;

  State start() override;
  std::optional<State> step(State state, uint8_t byte, std::string_view text) override;
  bool can_end(State state, std::string_view text) override;
  Lexer* lexer() override { return &lexer_; }
  std::optional<uint64_t> key(State state) override;
  Result<void> healthy() const override;
  size_t bytes() const override;

 private:
  enum class Phase : uint8_t { value, string, bare, object_open, before_key, key, after_key, after_value, done };
  enum class FrameKind : uint8_t { root, array, object };
  using Id = uint32_t;

  struct Slot {
    GoalId goal;
    std::vector<Thread> next;  // of the frame around, when the value satisfies the goal; sorted
    friend bool operator==(const Slot&, const Slot&) = default;
  };
  struct Pending {
    std::vector<Slot> slots;  // sorted by goal
    friend bool operator==(const Pending&, const Pending&) = default;
  };
  struct Frame {
    FrameKind kind = FrameKind::root;
    Id parent = 0, above = 0;      // the frame around, and the pending value this container is
    std::vector<Thread> threads;   // sorted; empty while a value is pending
    Id names = 0;                  // those the object has so far, where somebody will ask
    uint32_t value_start = 0;      // where in the text the container began, where somebody will ask
    friend bool operator==(const Frame&, const Frame&) = default;
  };
  struct Control {
    Phase phase = Phase::done;
    bool space = false;  // a space may come first
    bool close = false;  // value: the array may end instead
    Id frame = 0, pending = 0;
    friend bool operator==(const Control&, const Control&) = default;
  };
  struct Hash {
    uint64_t operator()(const Pending& p) const;
    uint64_t operator()(const Frame& f) const;
    uint64_t operator()(const Control& c) const;
    static void add(HashMix& h, const std::vector<Thread>& threads);
  };
  struct NameList {  // names already in an object, newest first
    Id rest;
    Id name;
  };

  SchemaMachine(Json schema, const SchemaMachineOptions& options, Refusal& refusal);
  std::optional<State> structural(Id control, uint8_t byte, std::string_view text);
  std::optional<State> begin_value(const Control& control, uint8_t byte, std::string_view text);
  std::optional<State> open(const Control& control, FrameKind kind, std::string_view text);
  std::optional<State> begin_key(const Control& control, std::string_view text);
  std::optional<State> end_key(const Control& control, std::string_view raw);
  std::optional<State> close(const Frame& frame, std::string_view text, char bracket);
  std::optional<State> comma(const Control& control);
  // The value pending around `frame_id` satisfies these slots. `text`: the value's own, where its frame wants it.
  std::optional<State> complete(Id frame_id, Id pending_id, const std::vector<bool>& satisfied, std::string_view value_text);
  Pending group(const std::vector<Step>& steps);
  bool asks_names(const std::vector<Thread>& threads) const;
  bool wants_text(const Pending& pending) const;
  uint32_t parts_state(const Control& control, bool strings);
  State at(const Control& control, uint32_t lex = 0, size_t mark = 0) {
    return {.control = controls_.id(control), .lex = lex, .mark = static_cast<uint32_t>(mark)};
  }

  Exprs exprs_;
  std::unique_ptr<SchemaDocument> document_;
  std::unique_ptr<SchemaAlgebra> algebra_;
  std::unique_ptr<SchemaShapes> shapes_;
  Lexer lexer_;
  SchemaMachineOptions options_;
  GoalId root_ = 0;
  bool text_matters_ = false;  // uniqueItems somewhere: what may come depends on the text itself

  Interner<Pending, Hash> pendings_;
  Interner<Frame, Hash> frames_;
  Interner<Control, Hash> controls_;
  std::vector<NameList> name_lists_;
  std::unordered_map<uint64_t, Id> name_list_ids_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, Id> name_ids_;
  std::unordered_map<uint64_t, uint32_t> lex_starts_;  // by pending and kind
  std::unordered_map<uint64_t, State> steps_;          // structural steps that no text decides
};

}  // namespace quern
