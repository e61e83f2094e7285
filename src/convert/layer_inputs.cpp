#include "convert/layer_inputs.h"

#include <Eigen/Core>
#include <algorithm>
#include <charconv>

#include "formats/tensor_names.h"
#include "model/ops/linear_inputs.h"

namespace quern {
namespace {

constexpr int64_t kChunk = 256;  // tokens of a document at a time

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void copy_rows(Tensor from, Tensor to) {
  for (int64_t r = 0; r < from.rows; ++r) std::copy_n(from.row(r), from.cols, to.row(r));
}

RowMajor decoded(const Weight& weight) {
  RowMajor rows(weight.rows(), weight.cols());
  for (int64_t r = 0; r < weight.rows(); ++r) weight.decode_row(r, &rows(r, 0));
  return rows;
}

// silu(gate x) * up x for the rows of x: what an expert's down_proj is multiplied by.
RowMajor gated(const Expert& expert, const RowMajor& x) {
  RowMajor gate = x * decoded(expert.gate_proj).transpose();
  const RowMajor up = x * decoded(expert.up_proj).transpose();
  gate.array() *= up.array() / (1 + (-gate.array()).exp());
  return gate;
}

}  // namespace

// Watches one layer. Its routed experts stay one operation: which tokens go where is all that is kept of them.
class LayerInputs::Recorder : public LinearInputs {
 public:
  Recorder(LayerInputs& to, const Layer& layer)
      : LinearInputs(to.ops_, [this](const Weight& weight, Tensor x) { see(weight, x); }), to_(to), layer_(layer) {}

  void set_first_row(int64_t row) { first_row_ = row; }

  void experts(Tensor x, std::span<const Expert> experts, std::span<const int32_t> ids, Tensor weights, Tensor out) override {
    for (size_t i = 0; i < ids.size(); ++i)
      to_.routed_[static_cast<size_t>(ids[i])].push_back(first_row_ + static_cast<int64_t>(i) / weights.cols);
    ops_.experts(x, experts, ids, weights, out);
  }

 private:
  void see(const Weight& weight, Tensor x) {
    const FullAttention& a = layer_.attention;
    const GatedDeltaNet& d = layer_.delta;
    const Expert& e = layer_.mlp.kind == MlpKind::dense ? layer_.mlp.dense : layer_.mlp.shared_expert;
    if (&weight == &a.q_proj || &weight == &d.in_proj_qkvz || &weight == &d.in_proj_qkv) record(mixer_in, x);
    if (&weight == &a.o_proj || &weight == &d.out_proj) record(mixer_out, x);
    if (&weight == &e.gate_proj) record(mlp_in, x);
    if (&weight == &e.down_proj) record(mlp_down, x);
  }
  void record(Input input, Tensor x) {
    Tensor& all = to_.inputs_[input];
    if (all.cols != x.cols) all = to_.inputs_rows_[input].tensor(to_.hidden_.rows, x.cols);
    copy_rows(x, all.row_range(first_row_, first_row_ + x.rows));
  }

  LayerInputs& to_;
  const Layer& layer_;
  int64_t first_row_ = 0;
};

Result<std::unique_ptr<LayerInputs>> LayerInputs::make(const Model& model, Ops& ops, ThreadPool& pool,
                                                       std::span<const std::vector<int32_t>> documents) {
  const int64_t vocab = model.config.vocab_size;
  int64_t tokens = 0;
  for (const std::vector<int32_t>& document : documents) {
    tokens += static_cast<int64_t>(document.size());
    for (const int32_t id : document)
      if (id < 0 || id >= vocab) return fail(Errc::out_of_range, "token id {} is outside the vocabulary of {}", id, vocab);
  }
  if (tokens == 0) return fail(Errc::invalid_argument, "a text without tokens says nothing about inputs");
  std::unique_ptr<LayerInputs> inputs(new LayerInputs(model, ops, pool, documents));
  inputs->hidden_ = inputs->hidden_rows_.tensor(tokens, model.config.hidden_size);
  inputs->start();
  return inputs;
}

LayerInputs::LayerInputs(const Model& model, Ops& ops, ThreadPool& pool, std::span<const std::vector<int32_t>> documents)
    : model_(model), ops_(ops), pool_(pool), documents_(documents), workspace_(model) {}

void LayerInputs::start() {
  int64_t row = 0;
  for (const std::vector<int32_t>& ids : documents_) {
    const int64_t end = row + static_cast<int64_t>(ids.size());
    if (ids.empty()) continue;
    ops_.embed(ids, model_.embed_tokens, hidden_.row_range(row, end));
    row = end;
  }
  next_ = 0;
}

std::optional<LayerInputs::Place> LayerInputs::place_of(std::string_view name) const {
  if (name == "lm_head.weight") return Place{.layer = model_.layers.size()};
  const std::string layers = model_.config.tensor_prefix + "layers.";
  if (!name.starts_with(layers)) return std::nullopt;
  Place place;
  const char* const end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + layers.size(), end, place.layer);
  if (error != std::errc() || place.layer >= model_.layers.size()) return std::nullopt;
  const std::string_view part(rest, end);
  if (const auto expert = parse_expert_name(name)) {
    place.expert = expert->index, place.down = expert->projection == "down_proj";
    place.input = mlp_in;
  } else if (part.starts_with(".mlp.")) {
    place.input = part.ends_with("down_proj.weight") ? mlp_down : mlp_in;
  } else {
    place.input = part.ends_with(".o_proj.weight") || part.ends_with(".out_proj.weight") ? mixer_out : mixer_in;
  }
  return place;
}

void LayerInputs::reach(const std::string& name) {
  const auto place = place_of(name);
  if (!place) return;
  if (place->layer + 1 < next_) start();
  while (next_ <= place->layer) advance();
}

// Layer next_ over the whole text. The last one is the head, which only looks.
void LayerInputs::advance() {
  last_.reset();
  for (std::vector<int64_t>& tokens : routed_) tokens.clear();
  if (next_ == model_.layers.size()) {
    Tensor& all = inputs_[mixer_in] = inputs_rows_[mixer_in].tensor(hidden_.rows, hidden_.cols);
    ops_.rms_norm(hidden_, model_.final_norm, static_cast<float>(model_.config.rms_norm_eps), all);
    ++next_;
    return;
  }
  routed_.resize(static_cast<size_t>(model_.config.num_experts));
  Recorder recorder(*this, model_.layers[next_]);
  int64_t row = 0;
  for (const std::vector<int32_t>& ids : documents_) {
    read_document(recorder, ids, row);
    row += static_cast<int64_t>(ids.size());
  }
  ++next_;
}

void LayerInputs::read_document(Recorder& recorder, std::span<const int32_t> ids, int64_t first) {
  SequenceState state(model_.config, KvFormat::f32, model_.fingerprint, false);
  while (!ids.empty()) {
    const auto part = ids.first(std::min(ids.size(), static_cast<size_t>(kChunk)));
    const auto count = static_cast<int64_t>(part.size());
    Batch batch = Batch::single(state, part, Batch::Logits::none);
    begin_batch(model_, batch, workspace_);
    workspace_.hidden = hidden_.row_range(first, first + count);
    recorder.set_first_row(first);
    forward_layer(recorder, model_, next_, batch, workspace_);
    state.advance(count);
    ids = ids.subspan(part.size()), first += count;
  }
}

const ErrorFeedback* LayerInputs::feedback(const std::string& name) {
  const auto place = place_of(name);
  if (!place || place->expert || place->layer + 1 != next_) return nullptr;
  if (last_ != place->input) {
    last_feedback_ = error_feedback(inputs_[place->input], ErrorFeedback::kDamping, &pool_);
    last_ = place->input;
  }
  return last_feedback_ ? &*last_feedback_ : nullptr;
}

std::optional<ErrorFeedback> LayerInputs::expert_feedback(const std::string& name) const {
  const auto place = place_of(name);
  if (!place || !place->expert || place->layer + 1 != next_) return std::nullopt;
  const auto expert = static_cast<size_t>(*place->expert);
  const std::vector<int64_t>& tokens = routed_[expert];
  if (tokens.size() < kFewTokens) return std::nullopt;
  const Tensor all = inputs_[mlp_in];
  RowMajor rows(static_cast<int64_t>(tokens.size()), all.cols);
  for (size_t i = 0; i < tokens.size(); ++i) std::copy_n(all.row(tokens[i]), all.cols, &rows(static_cast<int64_t>(i), 0));
  if (place->down) rows = gated(model_.layers[place->layer].mlp.experts[expert], rows);
  return error_feedback({rows.data(), rows.rows(), rows.cols(), rows.cols()});
}

}  // namespace quern
