// LayerInputs: a text on its way through a model, one layer at a time, and what that layer's matrices are multiplied by: as many rows of
// floats as the text has tokens, five times, instead of second moments for each of many experts, which for an 80B model would be 400 GB.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/forward.h"
#include "quant/error_feedback.h"

namespace quern {

// Model, pool, operations (which may use the pool) and documents must outlive it.
class LayerInputs {
 public:
  // What fewer tokens say about an expert is more noise than knowledge: there is no feedback for it.
  static constexpr size_t kFewTokens = 32;

  // Each document is read from its beginning. Errors: out_of_range (an id outside the vocabulary), invalid_argument (no tokens).
  static Result<std::unique_ptr<LayerInputs>> make(const Model& model, Ops& ops, ThreadPool& pool,
                                                   std::span<const std::vector<int32_t>> documents);

  // Moves on to the layer with this matrix, by its published name; where the text has passed it already, from the beginning. Uses the pool.
  void reach(const std::string& name);
  // Of a matrix in the layer that was reached, other than an expert's; valid until the next call. nullptr: what it is multiplied by is not
  // recorded (the embedding, also where it is the head too; the MTP block), or says nothing. Uses the pool.
  const ErrorFeedback* feedback(const std::string& name);
  // Of an expert's matrix there. Absent: kFewTokens did not come to it. From many threads at once.
  std::optional<ErrorFeedback> expert_feedback(const std::string& name) const;

  int64_t tokens() const { return hidden_.rows; }

 private:
  class Recorder;
  // What matrices of one layer are multiplied by: those that read the residual stream, o_proj or out_proj, those of the feed-forward half,
  // and the down_proj of the dense or the shared expert. Of the head, which is a layer here: the first.
  enum Input { mixer_in, mixer_out, mlp_in, mlp_down, kInputs };
  struct Place {
    size_t layer = 0;
    Input input = mixer_in;
    std::optional<int64_t> expert;
    bool down = false;  // of the expert
  };

  LayerInputs(const Model& model, Ops& ops, ThreadPool& pool, std::span<const std::vector<int32_t>> documents);
  std::optional<Place> place_of(std::string_view name) const;
  void start();
  void advance();
  void read_document(Recorder& recorder, std::span<const int32_t> ids, int64_t first);

  const Model& model_;
  Ops& ops_;
  ThreadPool& pool_;
  std::span<const std::vector<int32_t>> documents_;
  Workspace workspace_;
  Buffer hidden_rows_, inputs_rows_[kInputs];
  Tensor hidden_;                             // [tokens, H], in front of layer next_
  Tensor inputs_[kInputs];                    // [tokens, width], of layer next_ - 1
  std::vector<std::vector<int64_t>> routed_;  // of each expert, the tokens that go there
  size_t next_ = 0;
  std::optional<Input> last_;  // whose feedback is here: several matrices have one input
  std::optional<ErrorFeedback> last_feedback_;
};

}  // namespace quern
