// Writing a model folder: safetensors files, their index and config.json as a plan has them (output_plan.h), tensor by tensor, in memory
// that does not grow with the model. All or nothing; resumed after an interruption (partial_folder.h).
#pragma once

#include <filesystem>
#include <functional>

#include "convert/output_plan.h"
#include "convert/partial_folder.h"
#include "convert/tensor_encoder.h"

namespace quern {

// In weights, of what is left to do when it starts.
using OnProgress = std::function<void(double done, double total)>;

// Adds up what is written. Called by one thread.
class WeightProgress {
 public:
  WeightProgress(const OnProgress& on_progress, int64_t total) : on_progress_(on_progress), total_(static_cast<double>(total)) {}
  void operator()(int64_t weights) {
    done_ += static_cast<double>(weights);
    if (on_progress_) on_progress_(done_, total_);
  }

 private:
  const OnProgress& on_progress_;
  double total_, done_ = 0;
};

// Errors: io (less than `bytes` are free where the folder is).
Result<void> check_room(const std::filesystem::path& folder, int64_t bytes);

struct FolderOptions {
  Json request = Json::object();  // what decides about the bytes: files of an earlier attempt at the same are kept
  Replace replace = Replace::never;
  OnProgress on_progress = {};  // an exception passes through and leaves what can be resumed
  std::function<Result<void>(const std::filesystem::path& folder)> write_others = {};  // what a folder has beside its weights
};

// Returns how many of the plan's files an earlier attempt had finished. Errors: those of check_room, PartialFolder, TensorEncoder and
// write_others; io (a file that cannot be written).
Result<size_t> write_folder(const std::filesystem::path& out, const OutputPlan& plan, FolderOptions options,
                            TensorEncoder& encoder);

}  // namespace quern
