// A model's config as GGUF metadata of architecture "qwen3next", read and written. Keys and their origin: spec of the published
// checkpoints, "GGUF". The same fields, bounds and checks as config.json's (formats/config_fields.h).
//
// What GGUF says differently: block_count includes the multi-token prediction block; the value head size is inner_size / time_step_rank;
// real numbers are f32, read as the shortest decimal that they are nearest to, which is what the config they came from said. What it
// leaves to the tensors: the vocabulary (rows of token_embd.weight), tied embeddings (no output.weight), layers without experts
// (blk.N.ffn_gate.weight). Layout of the tensors is not the config's matter: delta_projections is as config.json would have it.
#pragma once

#include <span>

#include "formats/config_json.h"
#include "formats/gguf_metadata.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors.h"

namespace quern {

// Without tensors (empty), the vocabulary is vocab_size or the number of tokenizer.ggml.tokens, and embeddings are not tied.
// Errors: not_found, malformed (a key that is missing or of another kind), unsupported (an architecture or a setting, by its name),
// out_of_range (a key, its value, its bounds), mismatch (sizes that contradict each other).
Result<ModelConfig> gguf_model_config(const GgufMetadata& metadata, std::span<const StoredTensor> tensors);

// Sampling defaults (general.sampling.*) and ids that end a turn: eos, eot, and <|endoftext|> where it is the padding token, as the
// family's generation_config.json has it. No key is required. Errors: malformed, out_of_range.
Result<GenerationConfig> gguf_generation_config(const GgufMetadata& metadata);

// Adds general.architecture and every qwen3next.* key. Errors: unsupported (a model or setting that the architecture has no words for),
// out_of_range (a size past 2^32).
Result<void> add_gguf_config(const ModelConfig& config, GgufKeyValues& out);

}  // namespace quern
