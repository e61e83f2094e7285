// TensorEncoder: the bytes of one output tensor after the other, in little memory whatever their size. A matrix or stack is encoded by
// windows of a few million weights, whose codes are written as they come; its scales and biases, some percent of it, wait until the codes are
// through. Rows in parallel, then strips where they are wanted. What already is in the wanted format is copied, not decoded.
#pragma once

#include <atomic>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "convert/input_statistics.h"
#include "convert/layer_inputs.h"
#include "convert/output_tensors.h"

namespace quern {

// Not to be shared between threads.
class TensorEncoder {
 public:
  // statistics: what errors are weighed by; inputs: what they are made up for by. nullptr: all errors alike. The pool and they must outlive
  // the encoder.
  TensorEncoder(ThreadPool& pool, ScaleSearch search, const InputStatistics* statistics = nullptr, LayerInputs* inputs = nullptr)
      : pool_(pool), search_(search), statistics_(statistics), inputs_(inputs) {}

  using Bytes = FunctionRef<Result<void>(std::span<const std::byte>)>;
  using Written = FunctionRef<void(int64_t weights)>;
  // The bytes of `tensor` to `write`: its codes, then its scales and biases if the format has them apart. `written` hears of every window.
  // Errors: those of `write`, invalid_argument (a weight that is not finite; the message has the tensor and the row).
  Result<void> encode(const OutputTensor& tensor, Bytes write, Written written);

  // Of the quantised matrices that were encoded, not copied: those whose errors were made up for, and those that nothing is known about.
  struct FedBack {
    std::atomic<int64_t> with = 0, without = 0;
  };
  const FedBack& fed_back() const { return fed_back_; }

 private:
  // Where the tensor's rows from `first` on go.
  struct Window {
    const OutputTensor& tensor;
    int64_t first = 0, count = 0;  // in rows
  };
  Result<void> encode_window(const Window& window);
  Result<void> encode_with_feedback(const Window& window);
  // Rows [begin, end) of the window; importance, where `options` has none, by the statistics.
  Result<void> encode_range(const Window& window, int64_t begin, int64_t end, EncodeOptions options);
  bool takes_feedback(const OutputTensor& tensor) const;
  size_t matrix_at(int64_t row) const;  // of the tensor's matrices
  void pack_window(const OutputTensor& tensor, int64_t first, int64_t count);

  ThreadPool& pool_;
  ScaleSearch search_;
  const InputStatistics* statistics_;
  LayerInputs* inputs_;
  std::vector<int64_t> starts_;              // of the tensor's matrices, in rows
  const ErrorFeedback* feedback_ = nullptr;  // of a tensor that is one matrix
  FedBack fed_back_;
  std::vector<std::byte> codes_, packed_;   // of a window
  std::vector<std::byte> scales_, biases_;  // of the whole tensor
};

}  // namespace quern
