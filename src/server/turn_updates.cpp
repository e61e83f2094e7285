#include "server/turn_updates.h"

#include "server/unique_id.h"

namespace quern {
namespace {

constexpr std::string_view kThinkEnd = "</think>";

// A turn in which anything may stand: reasoning up to its tag, then text. For reading only; control: how much of the tag there is so far.
class FreeTurn : public TurnMachine {
 public:
  explicit FreeTurn(bool thinking) : start_(thinking ? 0 : kText) {}
  State start() override { return {.control = start_}; }
  std::optional<State> step(State state, uint8_t byte, std::string_view) override {
    if (state.control == kText) return state;
    if (byte == static_cast<uint8_t>(kThinkEnd[state.control])) return State{.control = state.control + 1};
    return State{.control = byte == '<' ? 1u : 0u};  // the tag's first character stands nowhere else in it
  }
  bool can_end(State, std::string_view) override { return true; }
  size_t bytes() const override { return sizeof(*this); }
  Place place(State state) override {
    if (state.control == kText) return {.part = Part::text};
    return {.part = Part::reasoning, .closer = kThinkEnd};
  }
  CallFormat format() const override { return CallFormat::hermes; }
  const std::string& tool_name(uint32_t) const override { return no_name_; }

 private:
  static constexpr uint32_t kText = kThinkEnd.size();
  const uint32_t start_;
  const std::string no_name_;
};

}  // namespace

TurnUpdates::TurnUpdates(const Options& options) : raw_(options.raw), tokenizer_(options.tokenizer), logprobs_(options.logprobs) {
  if (raw_ && !options.machine) return;
  if (!options.machine) free_ = std::make_unique<FreeTurn>(options.thinking);
  reader_.emplace(options.machine ? *options.machine : *free_);
}

Result<void> TurnUpdates::skip(std::string_view text) {
  std::vector<TurnPiece> pieces;
  return reader_ ? reader_->read(text, pieces) : Result<void>();
}

Result<void> TurnUpdates::token(const GeneratedToken& token, std::vector<TurnUpdate>& updates) {
  if (logprobs_ && token.logprob && token.id >= 0) {
    TokenLogprobs& own = waiting_.emplace_back();
    own.token = token.id;
    own.bytes = tokenizer_->token_bytes(token.id);
    own.logprob = *token.logprob;
    for (const TokenProbability& other : token.top)
      own.top.push_back({other.id, std::string(tokenizer_->token_bytes(other.id)), other.logprob});
  }
  if (token.text.empty()) return {};
  if (raw_) say(std::string(token.text), updates);
  if (!reader_) return {};
  std::vector<TurnPiece> pieces;
  const auto read = reader_->read(token.text, pieces);
  give(pieces, updates);
  return read;
}

void TurnUpdates::finish(std::vector<TurnUpdate>& updates) {
  if (!reader_) return;
  std::vector<TurnPiece> pieces;
  reader_->finish(pieces);
  give(pieces, updates);
}

void TurnUpdates::say(std::string text, std::vector<TurnUpdate>& updates) {
  updates.emplace_back(TurnText{std::move(text), std::exchange(waiting_, {})});
}

void TurnUpdates::give(std::vector<TurnPiece>& pieces, std::vector<TurnUpdate>& updates) {
  for (TurnPiece& piece : pieces) {
    const auto index = static_cast<int64_t>(piece.call);
    const bool of_call = piece.kind == TurnPiece::Kind::call_begin || piece.kind == TurnPiece::Kind::arguments;
    if (raw_ && !of_call) continue;  // it is told as text already
    if (piece.kind == TurnPiece::Kind::content) {
      say(std::move(piece.text), updates);
      continue;
    }
    waiting_.clear();  // probabilities are told of text alone
    if (piece.kind == TurnPiece::Kind::reasoning)
      updates.emplace_back(TurnThinking{std::move(piece.text)});
    else if (piece.kind == TurnPiece::Kind::call_begin)
      updates.emplace_back(TurnCall{index, unique_id("call_"), std::move(piece.text)});
    else if (piece.kind == TurnPiece::Kind::arguments)
      updates.emplace_back(TurnArguments{index, std::move(piece.text)});
  }
}

}  // namespace quern
