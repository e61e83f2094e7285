// Quantising: a model, from a folder or a GGUF file, written again with its matrices in other formats: as an MLX folder or, where
// all matrices are plain floats, as a Hugging Face folder (output_plan.h), or as a GGUF file (gguf_output.h). Tensor by tensor, in
// memory that does not grow with the model; all or nothing; a folder is resumed after an interruption. config.json, tokenizer and
// the like are copied, adapted, or made from what the other container has.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "convert/input_statistics.h"
#include "convert/output_folder.h"
#include "convert/recipe.h"

namespace quern {

struct QuantizeOptions {
  Recipe recipe;
  ModelContainer container = ModelContainer::folder;  // which is written; the recipe is one for it
  MtpBlock mtp = MtpBlock::keep;
  RowOrder order = RowOrder::rows;  // strips: a packed folder, for quern alone
  ScaleSearch search = ScaleSearch::full;
  const InputStatistics* importance = nullptr;  // what errors are weighed by, of this model or one of its shapes; absent: all alike
  // A text: the model reads it layer by layer as it is written, and rounding errors are made up for (layer_inputs.h). Not with importance.
  std::span<const std::vector<int32_t>> feedback_text = {};
  Replace replace = Replace::never;
  int64_t shard_bytes = kShardBytes;  // of a folder
  OnProgress on_progress;             // an exception passes through and leaves what can be resumed
};

struct QuantizeReport {
  struct Tally {
    QuantFormat format = QuantFormat::bf16;
    int64_t tensors = 0, weights = 0, bytes = 0;  // a stack of experts is one tensor; scales and biases count as bytes
  };
  OutputLayout layout = OutputLayout::published;
  std::vector<Tally> matrices;  // by bytes, largest first
  Tally total;                  // vectors too
  int64_t source_bytes = 0;
  int64_t packed = 0;                   // tensors that lie in strips
  size_t files = 0, resumed_files = 0;  // with tensors, and how many of them an earlier attempt had finished
  std::vector<std::string> notes;       // what did not go as the recipe says, for people
};

// Errors: those of Model::load, InputStatistics::check_model, LayerInputs::make, output_tensors, pack, gguf_metadata, folder_text and write_folder;
// invalid_argument (out is the model that is read, or around it); denied (a file in the way); io (not enough room, a file that cannot be
// read or written).
Result<QuantizeReport> quantize(const std::filesystem::path& in, const std::filesystem::path& out, const QuantizeOptions& options,
                                ThreadPool& pool);

}  // namespace quern
