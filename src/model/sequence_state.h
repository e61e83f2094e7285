// SequenceState: everything a sequence's past leaves behind, as a value. Copying forks it (KV pages are shared until written); it can be
// saved, restored and rolled back. The recurrent layers cannot be truncated, so each keeps, besides the live delta state S, a base state
// up to kLogCapacity positions older and the log of the writes since: going back r positions is the base plus a replay of the log,
// bit for bit what a run that stopped there holds.
// One sequence belongs to one thread at a time.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/config_json.h"
#include "formats/safetensors.h"
#include "kernels/attention/attention.h"
#include "tensor/tensor.h"

namespace quern {

class Ops;

// K and V of one full-attention layer, in pages of kPagePositions; a page shared by forks is copied before it is written.
class KvCache {
 public:
  KvCache(int64_t kv_heads, int64_t head_dim, KvFormat format) : kv_heads_(kv_heads), head_dim_(head_dim), format_(format) {}

  int64_t kv_heads() const { return kv_heads_; }
  int64_t head_dim() const { return head_dim_; }
  KvFormat format() const { return format_; }
  int64_t length() const { return length_; }

  // Room for `count` positions from `first` (= length): makes and unshares pages. Views of all pages are then valid until the next call.
  void extend(int64_t first, int64_t count);
  void truncate(int64_t length);
  // Appends the other's positions from length() up to `end`, both at the borders of pages, by sharing the pages.
  void share(const KvCache& other, int64_t end);
  const std::vector<KvPage>& pages() const { return views_; }
  size_t page_bytes() const { return kv_page_bytes(format_, kv_heads_, head_dim_); }

 private:
  struct Page;
  int64_t kv_heads_, head_dim_;
  KvFormat format_;
  int64_t length_ = 0;
  std::vector<std::shared_ptr<Page>> pages_;
  std::vector<KvPage> views_;
};

// One linear layer's past. The widths come from the config: channels, k_heads * k_dim, v_heads, v_heads * v_dim.
class DeltaState {
 public:
  static constexpr int64_t kReach = 8;         // positions a rollback may go back
  static constexpr int64_t kLogCapacity = 16;  // log entries before the base moves on: twice the reach, so it moves every 8 tokens

  explicit DeltaState(const ModelConfig& config);
  static size_t bytes(const ModelConfig& config);          // that one takes
  static size_t settled_bytes(const ModelConfig& config);  // that a settled one takes

  // Without base and log: as far as going on needs it, and no way back. It gets both again by being fed.
  DeltaState settled() const;
  bool is_settled() const { return base_.empty(); }

  float* live() { return live_.data(); }  // as kernels/gated_delta lays it out
  float* base() { return base_.data(); }
  std::span<const float> live() const { return live_; }
  Tensor conv_inputs();  // [K - 1 + kLogCapacity, channels], oldest first: the convolution's inputs

  // Before feeding counts[i] tokens to each of these states, of one layer: moves their bases so that at most kLogCapacity entries remain
  // after it. Returns how many of the tokens to feed unlogged; where there are any, the base has to become the state behind those.
  static std::vector<int64_t> make_room(Ops& ops, const ModelConfig& config, std::span<DeltaState* const> states,
                                        std::span<const int64_t> counts);
  // The log's next `tokens` rows: normalised keys and decays are copied in, the rule writes the differences into the returned tensor.
  Tensor append_log(Tensor k, Tensor g);

  int64_t log_length() const { return log_length_; }
  void rollback(Ops& ops, int64_t positions);  // <= log_length

  // The parts by name, for saving and restoring; those of a settled state are fewer, and its conv shorter.
  struct Part {
    std::string_view name;
    std::vector<float>* values;
  };
  std::vector<Part> parts() {
    if (is_settled()) return {{"live", &live_}, {"conv", &conv_}};
    return {{"live", &live_}, {"base", &base_}, {"log_k", &log_k_}, {"log_g", &log_g_}, {"log_d", &log_d_}, {"conv", &conv_}};
  }
  void set_log_length(int64_t length) { log_length_ = length; }

 private:
  DeltaState(const ModelConfig& config, std::vector<float> live, std::vector<float> conv)
      : config_(&config), live_(std::move(live)), conv_(std::move(conv)) {}
  void unsettle();
  struct Replay {
    DeltaState* of;
    int64_t entries;
    float* state;  // what the first `entries` of the log are written to
  };
  static void replay(Ops& ops, std::span<const Replay> replays, const ModelConfig& config);
  void drop_log(int64_t entries);  // the oldest

  const ModelConfig* config_;
  std::vector<float> live_, base_;            // now, and before the log's first entry
  std::vector<float> log_k_, log_g_, log_d_;  // kLogCapacity rows each, log_length_ of them in use
  int64_t log_length_ = 0;
  std::vector<float>
      conv_;  // [K - 1 + kLogCapacity, channels], settled [K - 1, channels]: inputs of the convolution, the newest last
};

// Copying forks. `config` must outlive every copy.
class SequenceState {
 public:
  SequenceState(const ModelConfig& config, KvFormat kv, uint64_t model_fingerprint, bool with_mtp);

  int64_t position() const { return position_; }  // tokens fed so far

  // Goes back to an earlier position, at most DeltaState::kReach before the furthest one fed. out_of_range otherwise; the state is then
  // unchanged. `ops` must be of the kind that fed the state.
  Result<void> rollback(Ops& ops, int64_t position);

  // The earliest position rollback reaches now.
  int64_t oldest_reachable() const { return std::max(floor_, furthest_ - DeltaState::kReach); }

  // The same state for keeping: without what going back needs it takes less than half (79 MB instead of 188 for the 80B model). Rollback never goes behind its position again,
  // and it becomes a whole one by being fed. Its KV pages are shared.
  SequenceState settled() const;
  bool is_settled() const {
    return std::all_of(delta_.begin(), delta_.end(), [](const DeltaState& d) { return d.is_settled(); });
  }
  size_t recurrent_bytes() const;                 // what it takes beside KV pages
  std::vector<const KvCache*> kv_caches() const;  // of all layers that have one, the MTP block's last

  // The numbers of a settled state beside its KV pages, in a fixed order, for who stores them in a form of his own; a state that was
  // filled in so, and its KV caches, stands at `position` then. mtp_rows: of hidden states, 0 or 1.
  std::vector<std::vector<float>*> settled_parts();
  static SequenceState settled_at(const ModelConfig& config, KvFormat kv, uint64_t model_fingerprint, bool with_mtp,
                                  int64_t position, int64_t mtp_rows);

  // What a timeline keeps beside its state. `earlier`: states of this very sequence at earlier positions; their KV pages are the state's
  // own, so each costs its recurrent part alone, in memory and in a file.
  struct Beside {
    std::vector<int32_t> tokens;  // [position]
    std::map<std::string, SequenceState> earlier;
    std::map<std::string, std::string> notes;
  };
  // A file in safetensors layout with the model's fingerprint and a checksum; restore refuses another model's (mismatch) and anything
  // malformed: truncated, changed, or numbers that do not go together.
  Result<void> save(const std::filesystem::path& path) const { return save(path, nullptr); }
  Result<void> save(const std::filesystem::path& path, const Beside* beside) const;
  static Result<SequenceState> restore(const std::filesystem::path& path, const ModelConfig& config, uint64_t model_fingerprint) {
    return restore(path, config, model_fingerprint, nullptr);
  }
  // beside: filled from the file, which must have been saved with it (malformed otherwise).
  static Result<SequenceState> restore(const std::filesystem::path& path, const ModelConfig& config, uint64_t model_fingerprint,
                                       Beside* beside);
  // What the checksum of a saved state covers: the metadata without its "checksum", and every tensor with its description, in file order.
  static std::string checksum(const Json& metadata, std::span<const StoredTensor> tensors);

  // For the forward pass; indices count the layers of that kind.
  KvCache& kv(int64_t full_layer) { return kv_[static_cast<size_t>(full_layer)]; }
  DeltaState& delta(int64_t linear_layer) { return delta_[static_cast<size_t>(linear_layer)]; }
  void advance(int64_t tokens) {
    position_ += tokens;
    furthest_ = std::max(furthest_, position_);
  }

  // The MTP block's cache, and the trunk's final hidden states of the last positions: the newest waits for its next token.
  bool has_mtp() const { return mtp_kv_.has_value(); }
  KvCache& mtp_kv() { return *mtp_kv_; }
  std::vector<float>& mtp_hidden() { return mtp_hidden_; }  // [<= kReach + 1, hidden], the newest last

 private:
  class File;  // sequence_state_file.cpp
  struct Settle {};
  SequenceState(const SequenceState& other, Settle)  // all but the recurrent part
      : config_(other.config_),
        fingerprint_(other.fingerprint_),
        position_(other.position_),
        kv_(other.kv_),
        mtp_kv_(other.mtp_kv_) {}

  const ModelConfig* config_;
  uint64_t fingerprint_;
  int64_t position_ = 0, furthest_ = 0, floor_ = 0;  // floor_: where it was settled
  std::vector<KvCache> kv_;
  std::vector<DeltaState> delta_;
  std::optional<KvCache> mtp_kv_;
  std::vector<float> mtp_hidden_;
};

}  // namespace quern
