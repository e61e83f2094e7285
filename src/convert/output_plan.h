// OutputPlan: every tensor, file and line of config.json of a converted model, before a byte of it is written.
//
// Two layouts. Published, when all matrices are plain floats: names and shapes as Hugging Face's folders have them, norms zero-centred. MLX,
// when any is quantised (spec "Checkpoint containers", C): experts stacked, convolutions [channels, kernel, 1], norms with their 1, U32 codes
// with scales and biases beside them, and the MTP block in mtp.safetensors, out of reach of tools that take every model*.safetensors.
// Vectors follow the layout, not the recipe: norms are bf16, rounded from f32; the others bf16 where that loses nothing and f32 where it
// would (f32 all of them in a published folder whose matrices mostly are).
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "convert/recipe.h"
#include "formats/safetensors.h"
#include "model/model.h"

namespace quern {

enum class OutputLayout { published, mlx };

// One matrix, a stack of equally shaped ones (MLX's experts), or a vector.
struct OutputTensor {
  std::string name;  // of the weight, as stored in the output
  std::vector<int64_t> shape;
  QuantFormat format = QuantFormat::bf16;
  std::vector<QuantMatrix> matrices;   // where they come from: views into the source's files; none for a vector
  std::vector<std::string> published;  // their names
  std::vector<float> values;           // of a vector

  std::string module() const;  // the name without ".weight"
  bool is_quantised() const;
  int64_t weights() const;
  int64_t bytes() const;  // of all entries
  // What the file holds: the weight, then its scales and biases if the format has them.
  std::vector<SafetensorsWriter::Entry> entries() const;
};

struct OutputFile {
  std::string name;
  std::vector<OutputTensor> tensors;

  int64_t weights() const;
  int64_t bytes() const;
};

struct OutputPlan {
  OutputLayout layout = OutputLayout::published;
  std::vector<OutputFile> files;   // the index names all but mtp.safetensors
  Json config;                     // of config.json
  Json index;                      // of model.safetensors.index.json
  std::vector<std::string> notes;  // what did not go as the recipe says, for people
};

// source: the tensors of `model`; config: its config.json; no file becomes larger than shard_bytes unless one tensor is.
// Errors: those of TensorSource; invalid_argument (a recipe that gives the experts of one stack several formats).
Result<OutputPlan> plan_output(const Model& model, TensorSource& source, const Json& config, const Recipe& recipe,
                               int64_t shard_bytes);

}  // namespace quern
