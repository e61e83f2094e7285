// A model as one GGUF file of architecture qwen3next, version 3, as llama.cpp reads it: metadata, then tensors (output_tensors.h).
#pragma once

#include <filesystem>

#include "convert/output_tensors.h"
#include "convert/tensor_encoder.h"
#include "formats/gguf_writer.h"

namespace quern {

// The config as qwen3next.*; of a folder its tokenizer, chat template, sampling defaults and name; of a GGUF file what else it
// says. `in`: where the model is. Errors: those of load_model_text, add_gguf_config and add_gguf_tokenizer (what GGUF cannot say);
// malformed (a JSON file).
Result<GgufKeyValues> gguf_metadata(const Model& model, const std::filesystem::path& in, const OutputTensors& tensors,
                                    MtpBlock mtp);

// Appears as `path` when it is complete. Errors: those of GgufWriter and TensorEncoder.
Result<void> write_gguf(const std::filesystem::path& path, const GgufKeyValues& metadata, std::span<const OutputTensor> tensors,
                        TensorEncoder& encoder, TensorEncoder::Written written);

}  // namespace quern
