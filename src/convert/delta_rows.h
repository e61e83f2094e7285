// The matrices that an output has, and where their rows are in a source that may have them otherwise. Only the DeltaNet's input
// projections differ (spec "Checkpoint containers", B.3): per key head the rows of its q, k, then v and z of its value heads
// (in_proj_qkvz), or all q, k and v, and z apart (in_proj_qkv, in_proj_z); b and a together per key head (in_proj_ba), or apart.
// Heads are in the same order in each.
#pragma once

#include <string>
#include <vector>

#include "convert/recipe.h"
#include "model/model.h"

namespace quern {

// What a container has of a model, in the order of the forward pass: a folder what is published of the model type; a GGUF file in_proj_qkv,
// in_proj_z and in_proj_ba.
std::vector<ExpectedTensor> output_list(const ModelConfig& config, bool with_mtp, ModelContainer container);

// Of a matrix of a model of this config: the one that is published and has it or is it, which is what recipes and statistics know it by.
// qwen3_next's in_proj_qkv and in_proj_z are of in_proj_qkvz, its in_proj_b and in_proj_a of in_proj_ba; other models' are published apart.
std::string published_name(const ModelConfig& config, const std::string& name);

// The rows of a matrix of output_list, as views to put one above the other; `config` is the source's. Errors: those of TensorSource.
Result<std::vector<QuantMatrix>> source_rows(const ExpectedTensor& tensor, const ModelConfig& config, TensorSource& source);

}  // namespace quern
