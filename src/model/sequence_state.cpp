#include "model/sequence_state.h"

#include <cstring>
#include <map>
#include <mutex>

#include "base/check.h"
#include "base/slabs.h"
#include "formats/safetensors.h"
#include "model/ops/ops.h"

namespace quern {

// --- KvCache -------------------------------------------------------------------------------------------------------------------------

namespace {

// One for each size, for the whole process and for ever: pages are shared by forks, caches and engines, whichever of them lives longest, and those
// of many lie side by side.
Slabs& slabs_of(size_t page_bytes) {
  static std::mutex mutex;
  static auto* const all = new std::map<size_t, Slabs>;  // pages may be dropped while the program ends
  const std::lock_guard lock(mutex);
  return all->try_emplace(page_bytes, page_bytes).first->second;
}

}  // namespace

struct KvCache::Page {
  explicit Page(size_t bytes) : memory(slabs_of(bytes).take()) {}
  Slabs::Piece memory;
};

void KvCache::extend(int64_t first, int64_t count) {
  QUERN_CHECK(first == length_ && count >= 0, first, length_, count);
  if (count == 0) return;
  const auto first_page = static_cast<size_t>(first / kKvPagePositions),
             last_page = static_cast<size_t>((first + count - 1) / kKvPagePositions);
  for (size_t p = first_page; p <= last_page; ++p) {
    if (p == pages_.size()) {
      pages_.push_back(std::make_shared<Page>(page_bytes()));
    } else if (pages_[p].use_count() > 1) {  // a fork still reads the old one
      auto copy = std::make_shared<Page>(page_bytes());
      std::memcpy(copy->memory.get(), pages_[p]->memory.get(), page_bytes());
      pages_[p] = std::move(copy);
    }
    views_.resize(pages_.size());
    views_[p] = KvPage{pages_[p]->memory.get()};
  }
  length_ = first + count;
}

void KvCache::truncate(int64_t length) {
  QUERN_CHECK(0 <= length && length <= length_, length, length_);
  length_ = length;
  pages_.resize(static_cast<size_t>((length + kKvPagePositions - 1) / kKvPagePositions));
  views_.resize(pages_.size());
}

void KvCache::share(const KvCache& other, int64_t end) {
  QUERN_CHECK(length_ % kKvPagePositions == 0 && end % kKvPagePositions == 0 && length_ <= end && end <= other.length_, length_,
              end, other.length_);
  QUERN_CHECK(other.page_bytes() == page_bytes(), other.page_bytes(), page_bytes());
  const auto first = static_cast<std::ptrdiff_t>(length_ / kKvPagePositions),
             last = static_cast<std::ptrdiff_t>(end / kKvPagePositions);
  pages_.insert(pages_.end(), other.pages_.begin() + first, other.pages_.begin() + last);
  views_.insert(views_.end(), other.views_.begin() + first, other.views_.begin() + last);
  length_ = end;
}

// --- DeltaState ----------------------------------------------------------------------------------------------------------------------

namespace {

// Floats of a DeltaState's parts.
struct DeltaSizes {
  explicit DeltaSizes(const ModelConfig& c)
      : state(static_cast<size_t>(c.linear_value_dim()) * static_cast<size_t>(c.linear_key_head_dim)),
        log_k(kLog * static_cast<size_t>(c.linear_key_dim())),
        log_g(kLog * static_cast<size_t>(c.linear_num_value_heads)),
        log_d(kLog * static_cast<size_t>(c.linear_value_dim())),
        conv_tail((static_cast<size_t>(c.linear_conv_kernel_dim) - 1) * static_cast<size_t>(c.conv_channels())),
        conv(conv_tail + kLog * static_cast<size_t>(c.conv_channels())) {}

  static constexpr size_t kLog = DeltaState::kLogCapacity;
  size_t state, log_k, log_g, log_d, conv_tail, conv;
};

}  // namespace

DeltaState::DeltaState(const ModelConfig& c) : config_(&c) {
  const DeltaSizes sizes(c);
  live_.resize(sizes.state);
  base_.resize(sizes.state);
  log_k_.resize(sizes.log_k);
  log_g_.resize(sizes.log_g);
  log_d_.resize(sizes.log_d);
  conv_.resize(sizes.conv);
}

size_t DeltaState::bytes(const ModelConfig& c) {
  const DeltaSizes sizes(c);
  return (2 * sizes.state + sizes.log_k + sizes.log_g + sizes.log_d + sizes.conv) * sizeof(float);
}

size_t DeltaState::settled_bytes(const ModelConfig& c) {
  const DeltaSizes sizes(c);
  return (sizes.state + sizes.conv_tail) * sizeof(float);
}

DeltaState DeltaState::settled() const {
  const auto tail = static_cast<std::ptrdiff_t>(DeltaSizes(*config_).conv_tail);
  return {*config_, live_, {conv_.end() - tail, conv_.end()}};
}

void DeltaState::unsettle() {
  if (!is_settled()) return;
  const DeltaSizes sizes(*config_);
  base_ = live_;
  log_k_.resize(sizes.log_k);
  log_g_.resize(sizes.log_g);
  log_d_.resize(sizes.log_d);
  conv_.insert(conv_.begin(), sizes.conv - sizes.conv_tail, 0.0f);  // older inputs, which no rollback reaches
}

Tensor DeltaState::conv_inputs() {
  unsettle();
  const int64_t channels = config_->conv_channels();
  return {conv_.data(), static_cast<int64_t>(conv_.size()) / channels, channels, channels};
}

namespace {

Tensor rows(std::vector<float>& values, int64_t count, int64_t width) { return {values.data(), count, width, width}; }

}  // namespace

void DeltaState::replay(Ops& ops, std::span<const Replay> replays, const ModelConfig& c) {
  std::vector<Ops::DeltaLog> logs;
  for (const auto& [of, entries, state] : replays)
    logs.push_back({rows(of->log_k_, entries, c.linear_key_dim()), rows(of->log_g_, entries, c.linear_num_value_heads),
                    rows(of->log_d_, entries, c.linear_value_dim()), state});
  if (!logs.empty()) ops.replay_delta(logs, c);
}

std::vector<int64_t> DeltaState::make_room(Ops& ops, const ModelConfig& config, std::span<DeltaState* const> states,
                                           std::span<const int64_t> counts) {
  std::vector<int64_t> unlogged(states.size()), advances(states.size());
  std::vector<Replay> replays;
  for (size_t i = 0; i < states.size(); ++i) {
    DeltaState& state = *states[i];
    state.unsettle();
    if (state.log_length_ + counts[i] <= kLogCapacity) continue;
    const int64_t advance = state.log_length_ + counts[i] - kReach;
    if (advance > state.log_length_) {  // a long span: its own last tokens make the log
      state.log_length_ = 0;
      unlogged[i] = counts[i] - kReach;
    } else {
      replays.push_back({&state, advance, state.base()});
      advances[i] = advance;
    }
  }
  replay(ops, replays, config);
  for (size_t i = 0; i < states.size(); ++i)
    if (advances[i] > 0) states[i]->drop_log(advances[i]);
  return unlogged;
}

void DeltaState::drop_log(int64_t entries) {
  for (std::vector<float>* log : {&log_k_, &log_g_, &log_d_}) {
    const auto width = static_cast<int64_t>(log->size()) / kLogCapacity;
    std::move(log->begin() + entries * width, log->begin() + log_length_ * width, log->begin());
  }
  log_length_ -= entries;
}

Tensor DeltaState::append_log(Tensor k, Tensor g) {
  QUERN_CHECK(log_length_ + k.rows <= kLogCapacity, log_length_, k.rows);
  for (int64_t i = 0; i < k.rows; ++i) {
    std::copy(k.row(i), k.row(i) + k.cols, log_k_.begin() + (log_length_ + i) * k.cols);
    std::copy(g.row(i), g.row(i) + g.cols, log_g_.begin() + (log_length_ + i) * g.cols);
  }
  const int64_t values = config_->linear_value_dim();
  const Tensor d{log_d_.data() + log_length_ * values, k.rows, values, values};
  log_length_ += k.rows;
  return d;
}

void DeltaState::rollback(Ops& ops, int64_t positions) {
  QUERN_CHECK(positions <= log_length_, positions, log_length_);
  log_length_ -= positions;
  live_ = base_;
  const Replay all{this, log_length_, live()};
  replay(ops, {&all, 1}, *config_);
  const int64_t channels = config_->conv_channels();
  std::move_backward(conv_.begin(), conv_.end() - positions * channels,
                     conv_.end());  // the oldest rows become unknown, and unreachable
}

// --- SequenceState -------------------------------------------------------------------------------------------------------------------

SequenceState::SequenceState(const ModelConfig& config, KvFormat kv, uint64_t model_fingerprint, bool with_mtp)
    : config_(&config), fingerprint_(model_fingerprint) {
  for (const LayerKind kind : config.layers) {
    if (kind == LayerKind::full_attention)
      kv_.emplace_back(config.num_key_value_heads, config.head_dim, kv);
    else
      delta_.emplace_back(config);
  }
  if (with_mtp) mtp_kv_.emplace(config.num_key_value_heads, config.head_dim, kv);
}

Result<void> SequenceState::rollback(Ops& ops, int64_t position) {
  const int64_t oldest = oldest_reachable();
  if (position < oldest || position > position_)
    return fail(Errc::out_of_range, "rollback to position {}: at {} of a sequence fed up to {}, positions {} to {} can be reached",
                position, position_, furthest_, oldest, position_);
  const int64_t back = position_ - position;
  if (back == 0) return {};
  for (DeltaState& delta : delta_) delta.rollback(ops, back);
  for (KvCache& kv : kv_) kv.truncate(position);
  if (mtp_kv_ && !mtp_hidden_.empty()) {
    mtp_hidden_.resize(mtp_hidden_.size() - static_cast<size_t>(std::min<int64_t>(back, static_cast<int64_t>(mtp_hidden_.size()) /
                                                                                            config_->hidden_size) *
                                                                config_->hidden_size));
    mtp_kv_->truncate(std::max<int64_t>(0, std::min(mtp_kv_->length(), position - 1)));
  }
  position_ = position;
  return {};
}

SequenceState SequenceState::settled() const {
  SequenceState kept(*this, Settle{});
  kept.floor_ = kept.furthest_ = position_;
  for (const DeltaState& delta : delta_) kept.delta_.push_back(delta.settled());
  if (!mtp_hidden_.empty()) kept.mtp_hidden_.assign(mtp_hidden_.end() - config_->hidden_size, mtp_hidden_.end());
  return kept;
}

SequenceState SequenceState::settled_at(const ModelConfig& config, KvFormat kv, uint64_t model_fingerprint, bool with_mtp,
                                        int64_t position, int64_t mtp_rows) {
  SequenceState state = SequenceState(config, kv, model_fingerprint, with_mtp).settled();
  state.position_ = state.furthest_ = state.floor_ = position;
  state.mtp_hidden_.resize(static_cast<size_t>(mtp_rows * config.hidden_size));
  return state;
}

std::vector<std::vector<float>*> SequenceState::settled_parts() {
  std::vector<std::vector<float>*> all;
  for (DeltaState& delta : delta_)
    for (const DeltaState::Part& part : delta.parts()) all.push_back(part.values);
  if (mtp_kv_) all.push_back(&mtp_hidden_);
  return all;
}

size_t SequenceState::recurrent_bytes() const {
  size_t floats = mtp_hidden_.size();
  for (const DeltaState& delta : delta_)
    for (const DeltaState::Part& part : const_cast<DeltaState&>(delta).parts()) floats += part.values->size();
  return floats * sizeof(float);
}

std::vector<const KvCache*> SequenceState::kv_caches() const {
  std::vector<const KvCache*> all;
  for (const KvCache& cache : kv_) all.push_back(&cache);
  if (mtp_kv_) all.push_back(&*mtp_kv_);
  return all;
}

}  // namespace quern
