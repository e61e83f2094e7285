#include "convert/synth.h"

namespace quern {
namespace {

struct Preset {
  std::string_view name;
  int64_t layers, hidden, heads, kv_heads, head_dim, linear_k_heads, linear_v_heads, linear_dim, experts, top_k, expert_width,
      intermediate, vocab, context;
};
constexpr Preset kPresets[] = {
    {"tiny", 4, 64, 4, 2, 32, 2, 4, 16, 8, 2, 32, 96, 512, 4096},
    {"mini", 8, 256, 4, 2, 64, 4, 8, 32, 32, 4, 128, 512, 4096, 32768},
    {"slice4", 4, 2048, 16, 2, 256, 16, 32, 128, 512, 10, 512, 5120, 151936, 262144},
    {"slice8", 8, 2048, 16, 2, 256, 16, 32, 128, 512, 10, 512, 5120, 151936, 262144},
    {"full80", 48, 2048, 16, 2, 256, 16, 32, 128, 512, 10, 512, 5120, 151936, 262144},
};

// What decides about the bytes that are written.
Json request_of(const SynthOptions& options) {
  Json request = Json::object();
  request["synthetic"] = options.config;
  request["recipe"] = options.recipe.text();
  request["mtp"] = options.with_mtp;
  request["packed"] = options.order == RowOrder::strips;
  request["shard_bytes"] = options.shard_bytes;
  return request;
}

}  // namespace

Result<Json> synth_preset(std::string_view name) {
  for (const Preset& p : kPresets) {
    if (p.name != name) continue;
    Json c = Json::object();
    c["architectures"] = Json::Array{Json("Qwen3NextForCausalLM")};
    c["model_type"] = "qwen3_next";
    c["attention_bias"] = false;
    c["bos_token_id"] = 0;
    c["eos_token_id"] = 1;
    c["decoder_sparse_step"] = 1;
    c["full_attention_interval"] = 4;
    c["head_dim"] = p.head_dim;
    c["hidden_act"] = "silu";
    c["hidden_size"] = p.hidden;
    c["intermediate_size"] = p.intermediate;
    c["linear_conv_kernel_dim"] = 4;
    c["linear_key_head_dim"] = p.linear_dim;
    c["linear_num_key_heads"] = p.linear_k_heads;
    c["linear_num_value_heads"] = p.linear_v_heads;
    c["linear_value_head_dim"] = p.linear_dim;
    c["max_position_embeddings"] = p.context;
    c["mlp_only_layers"] = Json::array();
    c["moe_intermediate_size"] = p.expert_width;
    c["norm_topk_prob"] = true;
    c["num_attention_heads"] = p.heads;
    c["num_experts"] = p.experts;
    c["num_experts_per_tok"] = p.top_k;
    c["num_hidden_layers"] = p.layers;
    c["num_key_value_heads"] = p.kv_heads;
    c["partial_rotary_factor"] = Json::number_literal("0.25");
    c["rms_norm_eps"] = Json::number_literal("1e-06");
    c["rope_scaling"] = nullptr;
    c["rope_theta"] = Json::number_literal("10000000.0");
    c["shared_expert_intermediate_size"] = p.expert_width;
    c["tie_word_embeddings"] = false;
    c["torch_dtype"] = "bfloat16";
    c["vocab_size"] = p.vocab;
    return c;
  }
  return fail(Errc::not_found, "{}: no such file, and not a preset (tiny, mini, slice4, slice8, full80)", name);
}

Result<std::vector<std::string>> synthesise(const SynthOptions& options, const std::filesystem::path& out, ThreadPool& pool) {
  QUERN_ASSIGN(const ModelConfig config, ModelConfig::from_json(options.config, "config.json"));
  QUERN_ASSIGN(OutputTensors tensors, output_tensors(ProceduralWeights(), config, options.recipe, ModelContainer::folder,
                                                     options.with_mtp ? MtpBlock::keep : MtpBlock::leave_out));
  if (options.order == RowOrder::strips) QUERN_TRY(pack(tensors, out.string()));
  const OutputPlan plan = plan_output(std::move(tensors), options.config, options.shard_bytes);
  TensorEncoder encoder(pool, ScaleSearch::none, nullptr);
  QUERN_TRY(write_folder(
      out, plan, {.request = request_of(options), .replace = options.replace, .on_progress = options.on_progress}, encoder));
  return plan.notes;
}

}  // namespace quern
