// The names of the family's tensors in the containers that do not keep Hugging Face's. Everywhere else in quern a tensor is called what the
// published bf16 checkpoints call it ("model.layers.3.mlp.experts.7.up_proj.weight"). Source: spec "Checkpoint containers", B.3 and C.1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quern {

// "PREFIXexperts.7.up_proj.weight" taken apart; prefix ends with "mlp.".
struct ExpertTensorName {
  std::string prefix, projection;  // projection: gate_proj, up_proj, down_proj
  int64_t index = 0;
};
std::optional<ExpertTensorName> parse_expert_name(std::string_view name);
// "PREFIXexperts.*.up_proj.weight", which all experts of a layer share; other names as they are.
std::string any_expert_name(const std::string& name);

// Where a tensor lies: the stored tensor's name and, in a stack [experts, rows, cols], which of its matrices.
struct StoredName {
  std::string name;
  std::optional<int64_t> expert;
};

// MLX: "….switch_mlp.up_proj.weight" for experts, every other name as it is.
StoredName mlx_name(std::string_view name);

// GGUF, arch qwen3next: "blk.3.ffn_up_exps.weight". `layers`: of the trunk; the MTP block is the one after them. Absent for names that the
// family does not have.
std::optional<StoredName> gguf_name(std::string_view name, int64_t layers);

}  // namespace quern
