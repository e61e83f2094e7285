#include "runtime/timeline.h"

#include <algorithm>

#include "base/check.h"

namespace quern {

Timeline::Timeline(Runner& runner)
    : runner_(&runner), state_(runner.model.config, runner.kv, runner.model.fingerprint, runner.with_mtp) {}

Timeline::Timeline(Runner& runner, SequenceState state, std::vector<int32_t> tokens)
    : runner_(&runner), state_(std::move(state)), tokens_(std::move(tokens)) {
  QUERN_CHECK(state_.position() == static_cast<int64_t>(tokens_.size()), state_.position(), tokens_.size());
}

int64_t Timeline::next_cut(std::span<const int32_t> rest, Batch::Logits logits) const {
  const auto left = static_cast<int64_t>(rest.size());
  if (runner_->chunk > 0) return std::min(left, runner_->chunk);
  const int64_t grid = logits == Batch::Logits::all ? kCutWithLogits : kCut, until_grid = grid - state_.position() % grid;
  const int64_t most = std::min(left, until_grid);
  for (int64_t i = 0; i < most; ++i)
    if (rest[static_cast<size_t>(i)] == runner_->end_of_turn) return i + 1;
  return most;
}

Result<void> Timeline::feed(std::span<const int32_t> tokens, Batch::Logits logits, OnCut on_cut) {
  const int64_t vocab = runner_->model.config.vocab_size, end = state_.position() + static_cast<int64_t>(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= vocab)
      return fail(Errc::out_of_range, "token {}: id {} is outside the vocabulary of {}", i, tokens[i], vocab);
  if (end > runner_->context)
    return fail(Errc::out_of_range, "{} tokens do not fit the context of {} (--context sets it, --yarn extends it)", end,
                runner_->context);
  while (!tokens.empty()) {
    const auto part = tokens.first(static_cast<size_t>(next_cut(tokens, logits)));
    const int64_t first = state_.position();
    const bool more = part.size() < tokens.size();
    Batch batch = Batch::single(state_, part, more && logits == Batch::Logits::last ? Batch::Logits::none : logits);
    forward(runner_->ops, runner_->model, batch, runner_->workspace);
    note_fed(part);
    if (!on_cut(first, part)) break;
    tokens = tokens.subspan(part.size());
  }
  return {};
}

void Timeline::note_fed(std::span<const int32_t> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  QUERN_CHECK(state_.position() == static_cast<int64_t>(tokens_.size()), state_.position(), tokens_.size());
}

std::span<const float> Timeline::logits() const {
  const Tensor& logits = runner_->workspace.logits;
  QUERN_CHECK(logits.rows > 0 && !tokens_.empty(), logits.rows);
  return {logits.row(logits.rows - 1), static_cast<size_t>(logits.cols)};
}

int64_t Timeline::reachable(int64_t limit) const {
  const int64_t position = state_.position();
  limit = std::min(limit, position);
  if (limit >= state_.oldest_reachable()) return limit;
  int64_t best = 0;
  for (const auto& [name, state] : checkpoints_)
    if (state->position() <= limit) best = std::max(best, state->position());
  return best;
}

Result<void> Timeline::rollback(int64_t position) {
  if (position < 0 || reachable(position) != position)
    return fail(Errc::out_of_range, "position {} cannot be reached from {}: only the last {} positions and checkpoints can",
                position, state_.position(), DeltaState::kReach);
  if (position >= state_.oldest_reachable()) {
    QUERN_TRY(state_.rollback(runner_->ops, position));
  } else {
    const auto at =
        std::find_if(checkpoints_.begin(), checkpoints_.end(), [&](const auto& c) { return c.second->position() == position; });
    if (at != checkpoints_.end())
      state_ = *at->second;
    else
      state_ = SequenceState(runner_->model.config, runner_->kv, runner_->model.fingerprint, runner_->with_mtp);
  }
  std::erase_if(checkpoints_, [&](const auto& c) { return c.second->position() > position; });
  tokens_.resize(static_cast<size_t>(position));
  return {};
}

Timeline::Notes Timeline::settings_of(const Runner& runner) {
  constexpr std::string_view kv_names[] = {"f32", "bf16", "int8"};
  const auto& yarn = runner.model.config.yarn;
  return {{"kv", std::string(kv_names[static_cast<size_t>(runner.kv)])},
          {"yarn", yarn ? fmt::format("{}", yarn->factor) : "none"},
          {"mtp", runner.with_mtp ? "with" : "without"}};
}

Result<void> Timeline::save(const std::filesystem::path& path, Notes notes) const {
  notes.merge(settings_of(*runner_));
  SequenceState::Beside beside{tokens_, {}, std::move(notes)};
  for (const auto& [name, state] : checkpoints_) beside.earlier.emplace(name, *state);
  return state_.save(path, &beside);
}

Result<Timeline> Timeline::restore(Runner& runner, const std::filesystem::path& path, Notes& notes) {
  SequenceState::Beside beside;
  QUERN_ASSIGN(SequenceState state, SequenceState::restore(path, runner.model.config, runner.model.fingerprint, &beside));
  for (const auto& [key, value] : settings_of(runner))
    if (beside.notes[key] != value)
      return fail(Errc::mismatch, "{}: saved with {} {}, this engine has {}", path.string(), key, beside.notes[key].substr(0, 40),
                  value);
  if (state.position() > runner.context)
    return fail(Errc::out_of_range, "{}: {} tokens do not fit the context of {} (--context sets it, --yarn extends it)",
                path.string(), state.position(), runner.context);
  Timeline timeline(runner);
  timeline.state_ = std::move(state);
  timeline.tokens_ = std::move(beside.tokens);
  for (auto& [name, earlier] : beside.earlier)
    timeline.checkpoints_.emplace(name, std::make_shared<const SequenceState>(std::move(earlier)));
  notes = std::move(beside.notes);
  return timeline;
}

std::vector<std::shared_ptr<const SequenceState>> Timeline::checkpoints() const {
  std::vector<std::shared_ptr<const SequenceState>> all;
  for (const auto& [name, state] : checkpoints_) all.push_back(state);
  return all;
}

Timeline Timeline::settled() const {
  Timeline fork(*runner_, state_.settled(), tokens_);
  fork.checkpoints_ = checkpoints_;
  return fork;
}

void Timeline::checkpoint(const std::string& name) {
  checkpoints_.insert_or_assign(name, std::make_shared<const SequenceState>(state_));
}

}  // namespace quern
