// Timeline: the tokens of one sequence together with the state they left behind. It feeds in fixed cuts, goes back, forks and names
// checkpoints; everything above it (generation, agents) speaks of tokens only.
// Cuts: prefill is cut where the token ids say, every kCut positions and after each end-of-turn token, never where load or
// caching says. A cut is one forward pass: long, because the tokens of a pass share the weights they read.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "base/thread_pool.h"
#include "model/forward.h"
#include "model/ops/ops.h"

namespace quern {

// The shared parts a timeline runs on; they outlive it. Not for use by two timelines at the same time (one workspace, one pool).
struct Runner {
  const Model& model;
  Ops& ops;
  Workspace& workspace;
  KvFormat kv = KvFormat::bf16;
  bool with_mtp = false;
  int64_t context = 0;       // positions a sequence may reach
  int32_t end_of_turn = -1;  // prefill is cut after this id
  int64_t chunk = 0;         // > 0: cut every `chunk` tokens of a feed instead (comparisons)
};

class Timeline {
 public:
  static constexpr int64_t kCut = 512;
  static constexpr int64_t kCutWithLogits = 64;  // where those of all tokens are asked for, which take a megabyte each

  explicit Timeline(Runner& runner);
  // One that holds `tokens` already: `state` is what they left behind, on a runner of the same model and settings.
  Timeline(Runner& runner, SequenceState state, std::vector<int32_t> tokens);

  const std::vector<int32_t>& tokens() const { return tokens_; }
  SequenceState& state() { return state_; }
  const SequenceState& state() const { return state_; }

  // Called after each cut with the rows just fed: forward()'s workspace holds their hidden states, and the logits that are asked for:
  // of all of them, or of the feed's last token alone. False: feed no more.
  using OnCut = FunctionRef<bool(int64_t first_position, std::span<const int32_t> tokens)>;
  // Feeds tokens at the end. Errors: an id outside the vocabulary, the context's end (names --context); nothing is fed then.
  Result<void> feed(std::span<const int32_t> tokens, Batch::Logits logits, OnCut on_cut);
  Result<void> feed(std::span<const int32_t> tokens) {
    return feed(tokens, Batch::Logits::last, [](int64_t, std::span<const int32_t>) { return true; });
  }
  // For who feeds several timelines in one pass: it has advanced state() by these tokens.
  void note_fed(std::span<const int32_t> tokens);
  // [vocab], of the last token of a feed that nobody stopped; valid until the next feed of any timeline on this runner.
  std::span<const float> logits() const;

  // Back to `position` <= tokens().size(): one of the last DeltaState::kReach, or a checkpoint's. out_of_range otherwise.
  Result<void> rollback(int64_t position);
  void checkpoint(const std::string& name);  // remembers the state at the current position under a name
  void forget(const std::string& name) { checkpoints_.erase(name); }
  // Checkpoints are shared by the timelines that a copy was made of, as long as they keep them.
  std::vector<std::shared_ptr<const SequenceState>> checkpoints() const;
  // A fork that is kept for later: it goes on bit for bit as a copy would, and holds of its own no more than it takes to go on
  // (SequenceState::settled). Until it is fed it goes back to checkpoints alone.
  Timeline settled() const;
  // The furthest position <= limit that rollback reaches (0 always does: a fresh state).
  int64_t reachable(int64_t limit) const;

  // The whole of it in one file, with `notes` of the caller's; see SequenceState::save. Copying a timeline forks it, at the cost of the
  // recurrent states: KV pages are shared until one side writes.
  using Notes = std::map<std::string, std::string>;
  Result<void> save(const std::filesystem::path& path, Notes notes) const;
  // What changes a state's meaning without being part of the model.
  static Notes settings_of(const Runner& runner);
  // Besides SequenceState::restore's errors: mismatch when it was saved with another kind of KV cache or rotary scale than the runner
  // has, out_of_range when it is longer than the runner's context.
  static Result<Timeline> restore(Runner& runner, const std::filesystem::path& path, Notes& notes);

 private:
  int64_t next_cut(std::span<const int32_t> rest, Batch::Logits logits) const;

  Runner* runner_;
  SequenceState state_;
  std::vector<int32_t> tokens_;
  std::map<std::string, std::shared_ptr<const SequenceState>> checkpoints_;
};

}  // namespace quern
