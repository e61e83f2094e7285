#include "convert/synth.h"

#include <cmath>
#include <vector>

#include "base/random.h"
#include "formats/safetensors.h"
#include "model/model.h"
#include "tensor/dtype.h"

namespace quern {
namespace {

struct Bounds {
  double low, high;
};

// By name, most particular first: the table that the reference vectors were made with.
Bounds bounds_of(std::string_view name, int64_t last_dimension) {
  const auto ends = [&](std::string_view suffix) { return name.ends_with(suffix); };
  const auto contains = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (ends("linear_attn.norm.weight")) return {0.8, 1.2};
  if (ends("norm.weight") || contains("layernorm") || contains("norm_")) return {-0.2, 0.2};
  if (ends("A_log")) return {0, 2.75};
  if (ends("dt_bias")) return {-4, 0.5};
  if (ends("conv1d.weight")) return {-0.6, 0.6};
  if (ends("embed_tokens.weight")) return {-1, 1};
  double a = std::sqrt(3.0 / static_cast<double>(last_dimension));
  if (ends("mlp.gate.weight")) a *= 3;
  if (ends("lm_head.weight")) a *= 2;
  return {-a, a};
}

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

// Splits the tensors into files of about shard_bytes, whole tensors only.
std::vector<std::vector<ExpectedTensor>> shards_of(std::vector<ExpectedTensor> tensors, size_t shard_bytes) {
  std::vector<std::vector<ExpectedTensor>> shards(1);
  size_t bytes = 0;
  for (ExpectedTensor& tensor : tensors) {
    size_t size = 2;
    for (const int64_t extent : tensor.shape) size *= static_cast<size_t>(extent);
    if (bytes > 0 && bytes + size > shard_bytes) shards.emplace_back(), bytes = 0;
    bytes += size;
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

}  // namespace

ProceduralTensor::ProceduralTensor(std::string_view name, int64_t last_dimension) : key_(fnv1a_64(name)) {
  const Bounds bounds = bounds_of(name, last_dimension);
  low_ = static_cast<float>(bounds.low);
  width_ = static_cast<float>(bounds.high - bounds.low);
}

uint16_t ProceduralTensor::bf16(uint64_t i) const {
  const uint64_t z = Random::mix(key_ + (i + 1) * 0x9E3779B97F4A7C15ULL);
  const float u = static_cast<float>(z >> 40) * 0x1p-24f;
  return f32_to_bf16(low_ + width_ * u);
}

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

Result<void> synthesise(const SynthOptions& options, const std::filesystem::path& out) {
  QUERN_ASSIGN(const ModelConfig config, ModelConfig::from_json(options.config, "config.json"));
  std::error_code error;
  std::filesystem::create_directories(out, error);
  if (error) return fail(Errc::io, "{}: cannot make the folder: {}", out.string(), error.message());
  const auto shards = shards_of(expected_tensors(config, options.with_mtp), options.shard_bytes);
  const auto count_of = [](const ExpectedTensor& t) {
    uint64_t count = 1;
    for (const int64_t extent : t.shape) count *= static_cast<uint64_t>(extent);
    return count;
  };
  double total = 0, done = 0;
  for (const auto& shard : shards)
    for (const ExpectedTensor& t : shard) total += static_cast<double>(count_of(t));

  Json weight_map = Json::object();
  std::vector<uint16_t> block(1 << 18);
  for (size_t s = 0; s < shards.size(); ++s) {
    const std::string name =
        shards.size() == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, shards.size());
    std::vector<SafetensorsWriter::Entry> entries;
    for (const ExpectedTensor& t : shards[s]) {
      entries.push_back({t.name, "BF16", t.shape});
      weight_map.as_object().emplace_back(t.name, name);
    }
    QUERN_ASSIGN(SafetensorsWriter writer, SafetensorsWriter::create(out / name, entries));
    for (const ExpectedTensor& t : shards[s]) {
      const ProceduralTensor tensor(t.name, t.shape.back());
      for (uint64_t at = 0, count = count_of(t); at < count;) {
        const size_t n = std::min<uint64_t>(block.size(), count - at);
        for (size_t i = 0; i < n; ++i) block[i] = tensor.bf16(at + i);
        QUERN_TRY(writer.write(std::as_bytes(std::span(block.data(), n))));
        at += n, done += static_cast<double>(n);
        if (options.on_progress) options.on_progress(done, total);
      }
    }
    QUERN_TRY(writer.commit());
  }
  if (shards.size() > 1) {
    Json index = Json::object(), metadata = Json::object();
    metadata["total_size"] = static_cast<int64_t>(total * 2);
    index["metadata"] = std::move(metadata);
    index["weight_map"] = std::move(weight_map);
    QUERN_TRY(write_file(out / "model.safetensors.index.json", index.dump_indented() + "\n"));
  }
  return write_file(out / "config.json", options.config.dump_indented() + "\n");
}

}  // namespace quern
