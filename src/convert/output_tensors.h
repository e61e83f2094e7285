// The tensors of a converted model, before a byte of them is written: names, shapes, formats, and where their weights come from.
//
// Three layouts. Published: a folder whose matrices are all plain floats; names and shapes as Hugging Face's folders have them,
// norms zero-centred. MLX: a folder with a quantised matrix (spec "Checkpoint containers", C); experts stacked, convolutions
// [channels, kernel, 1], norms with their 1, U32 codes with scales and biases beside them. GGUF (spec B.3): experts stacked, the
// DeltaNet's projections as llama.cpp's converter arranges them, norms with their 1, -exp(A_log), convolutions [channels, kernel].
// Vectors follow the layout, not the recipe. In a folder norms are bf16, rounded from f32; the others bf16 where that loses nothing
// and f32 where it would (f32 all of them in a published folder whose matrices mostly are). In a GGUF file all are f32.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "convert/recipe.h"
#include "convert/weight_source.h"
#include "formats/safetensors.h"
#include "model/model.h"

namespace quern {

enum class OutputLayout { published, mlx, gguf };

// One matrix, a stack of equally shaped ones (experts), or a vector.
struct OutputTensor {
  std::string name;  // of the weight, as stored in the output
  std::vector<int64_t> shape;
  QuantFormat format = QuantFormat::bf16;
  std::vector<SourceMatrix> matrices;  // its rows, one matrix above the other; none for a vector
  std::vector<std::string> published;  // of each of them, the name of the matrix that it is part of
  std::vector<float> values;           // of a vector
  RowOrder order = RowOrder::rows;     // strips: as packed folders have them (model/mlx_source.cpp)

  std::string module() const;  // the name without ".weight"
  bool is_quantised() const;
  int64_t weights() const;
  int64_t cols() const;   // of a vector its length
  int64_t bytes() const;  // with scales and biases
  // What a safetensors file holds: the weight, then its scales and biases if the format has them.
  std::vector<SafetensorsWriter::Entry> entries() const;
};

struct OutputTensors {
  OutputLayout layout = OutputLayout::published;
  std::vector<OutputTensor> tensors;  // in the order of the forward pass
  std::vector<std::string> notes;     // what did not go as the recipe says, for people
};

// Every matrix of an MLX layout that can lie in strips does so from now on. Errors: invalid_argument (none can; `where` is the output).
Result<void> pack(OutputTensors& out, std::string_view where);

enum class MtpBlock { keep, leave_out };

// The format of the most weights among the matrices that `counts`; absent: there are none.
std::optional<QuantFormat> prevailing_format(std::span<const OutputTensor> tensors, bool (*counts)(const OutputTensor&));

// config: of the source, which has an MTP block if that is kept. Errors: those of the source; invalid_argument (a recipe that gives the
// experts of one stack several formats); unsupported (a tensor that GGUF has no name for).
Result<OutputTensors> output_tensors(const WeightSource& source, const ModelConfig& config, const Recipe& recipe,
                                     ModelContainer container, MtpBlock mtp);

}  // namespace quern
