#include "formats/gguf_config.h"

#include "formats/gguf.h"
#include "formats/temporary_folder_test.h"

namespace quern {
namespace {

std::string data(const std::string& name) { return std::string(QUERN_REPO) + "/tests/data/" + name; }

ModelConfig json_config(const std::string& name) { return ModelConfig::load(data(name)).value(); }

// Every field that the arithmetic uses.
void expect_same(const ModelConfig& a, const ModelConfig& b) {
  EXPECT_EQ(a.model_type, b.model_type);
  EXPECT_EQ(a.tensor_prefix, b.tensor_prefix);
  EXPECT_EQ(a.delta_projections, b.delta_projections);
  EXPECT_EQ(a.vocab_size, b.vocab_size);
  EXPECT_EQ(a.hidden_size, b.hidden_size);
  EXPECT_EQ(a.layers, b.layers);
  EXPECT_EQ(a.mlps, b.mlps);
  EXPECT_EQ(a.rms_norm_eps, b.rms_norm_eps);
  EXPECT_EQ(a.tie_word_embeddings, b.tie_word_embeddings);
  EXPECT_EQ(a.max_position_embeddings, b.max_position_embeddings);
  EXPECT_EQ(a.num_attention_heads, b.num_attention_heads);
  EXPECT_EQ(a.num_key_value_heads, b.num_key_value_heads);
  EXPECT_EQ(a.head_dim, b.head_dim);
  EXPECT_EQ(a.rotary_dim, b.rotary_dim);
  EXPECT_EQ(a.rope_theta, b.rope_theta);
  EXPECT_EQ(a.linear_num_key_heads, b.linear_num_key_heads);
  EXPECT_EQ(a.linear_num_value_heads, b.linear_num_value_heads);
  EXPECT_EQ(a.linear_key_head_dim, b.linear_key_head_dim);
  EXPECT_EQ(a.linear_value_head_dim, b.linear_value_head_dim);
  EXPECT_EQ(a.linear_conv_kernel_dim, b.linear_conv_kernel_dim);
  EXPECT_EQ(a.intermediate_size, b.intermediate_size);
  EXPECT_EQ(a.num_experts, b.num_experts);
  EXPECT_EQ(a.num_experts_per_tok, b.num_experts_per_tok);
  EXPECT_EQ(a.moe_intermediate_size, b.moe_intermediate_size);
  EXPECT_EQ(a.shared_expert_intermediate_size, b.shared_expert_intermediate_size);
  EXPECT_EQ(a.norm_topk_prob, b.norm_topk_prob);
  EXPECT_EQ(a.num_mtp_layers, b.num_mtp_layers);
  ASSERT_EQ(a.yarn.has_value(), b.yarn.has_value());
  if (!a.yarn) return;
  EXPECT_EQ(a.yarn->factor, b.yarn->factor);
  EXPECT_EQ(a.yarn->original_max_position, b.yarn->original_max_position);
  EXPECT_EQ(a.yarn->beta_fast, b.yarn->beta_fast);
  EXPECT_EQ(a.yarn->beta_slow, b.yarn->beta_slow);
  EXPECT_EQ(a.yarn->truncate, b.yarn->truncate);
  // Rounded to f32, and that to its shortest decimal: half a unit in the last place each.
  EXPECT_NEAR(a.yarn->attention_scale(), b.yarn->attention_scale(), a.yarn->attention_scale() * 0x1p-23);
}

// What a reader makes of a config that was written; `more` adds keys.
Result<ModelConfig> again(const ModelConfig& config, const std::function<void(GgufKeyValues&)>& more = {}) {
  GgufKeyValues kv;
  QUERN_TRY(add_gguf_config(config, kv));
  if (more) more(kv);
  QUERN_ASSIGN(const GgufMetadata metadata, kv.view("t.gguf"));
  return gguf_model_config(metadata, {});
}

// mini's metadata with one key left out or given another value.
Result<ModelConfig> changed(std::string_view key, const std::function<void(GgufKeyValues&)>& add = {},
                            std::span<const StoredTensor> tensors = {}) {
  GgufKeyValues written, kv;
  QUERN_TRY(add_gguf_config(json_config("gguf/mini.config.json"), written));
  QUERN_ASSIGN(const GgufMetadata all, written.view("t.gguf"));
  for (const auto& [name, value] : all.entries())
    if (name != key) kv.value(name, value);
  if (add) add(kv);
  QUERN_ASSIGN(const GgufMetadata metadata, kv.view("t.gguf"));
  return gguf_model_config(metadata, tensors);
}

TEST(GgufConfig, IsTheConfigThatTheFileWasMadeOf) {
  const TemporaryFolder folder;
  const ModelConfig want = json_config("gguf/mini.config.json");
  const std::pair<const char*, size_t> files[] = {{"mini-MXFP4", 4209696}, {"mini-Q4_K_M", 4686048}, {"mini-Q8_0", 8178912}};
  for (const auto& [name, bytes] : files) {
    const auto path = folder.write(name, read_file(data(fmt::format("gguf/{}.header", name))).value());
    std::filesystem::resize_file(path, bytes);
    const auto file = GgufFile::open(path);
    ASSERT_TRUE(file) << file.error().message;
    const auto config = gguf_model_config(file->metadata(), file->tensors());
    ASSERT_TRUE(config) << config.error().message;
    expect_same(*config, want);
  }
}

TEST(GgufConfig, ReadsBackWhatItWrote) {
  for (const char* name : {"tiny/config.json", "tiny-yarn/config.json", "gguf/mini.config.json", "slice4/config.json"}) {
    const ModelConfig config = json_config(name);
    const auto read = again(config);
    ASSERT_TRUE(read) << name << ": " << read.error().message;
    expect_same(*read, config);
  }
}

TEST(GgufConfig, ReadsBackYarnMtpAndIrregularLayers) {
  ModelConfig config = json_config("gguf/mini.config.json");
  config.num_mtp_layers = 1;
  config.yarn = Yarn{.factor = 4, .original_max_position = 4096, .beta_fast = 16, .beta_slow = 2};
  expect_same(again(config).value(), config);
  config.yarn->attention_factor = 1.5;
  expect_same(again(config).value(), config);
  config.yarn->attention_factor = {}, config.yarn->mscale = 2, config.yarn->mscale_all_dim = 0.5;
  expect_same(again(config).value(), config);
  config.layers = {LayerKind::full_attention, LayerKind::linear_attention, LayerKind::linear_attention, LayerKind::full_attention};
  expect_same(again(config).value(), config);
  std::fill(config.layers.begin(), config.layers.end(), LayerKind::linear_attention);
  expect_same(again(config).value(), config);
}

TEST(GgufConfig, CountsThePredictionBlockAmongTheBlocks) {
  const auto config = changed("qwen3next.block_count", [](GgufKeyValues& kv) {
    kv.u32("qwen3next.block_count", 49), kv.u32("qwen3next.nextn_predict_layers", 1);
  });
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->layers.size(), 48u);
  EXPECT_EQ(config->num_mtp_layers, 1);
  EXPECT_TRUE(
      fails(changed("qwen3next.block_count",
                    [](GgufKeyValues& kv) { kv.u32("qwen3next.block_count", 1), kv.u32("qwen3next.nextn_predict_layers", 1); }),
            Errc::out_of_range, {"block_count"}));
}

TEST(GgufConfig, AssumesAnIntervalOfFourAndTakesAnOverride) {
  const ModelConfig mini = json_config("gguf/mini.config.json");
  EXPECT_EQ(changed("qwen3next.full_attention_interval").value().layers, mini.layers);
  const auto with = [&](const std::vector<bool>& recurrent) {
    return changed("", [&](GgufKeyValues& kv) { kv.booleans("qwen3next.attention.recurrent_layers", recurrent); });
  };
  EXPECT_EQ(with({false, true, true, true}).value().layers[0], LayerKind::full_attention);
  EXPECT_EQ(with({false, true, true, true}).value().layers[3], LayerKind::linear_attention);
  EXPECT_TRUE(fails(with({false, true}), Errc::malformed, {"recurrent_layers", "2", "4"}));
  const auto all = changed("", [](GgufKeyValues& kv) { kv.boolean("qwen3next.attention.recurrent_layers", false); });
  EXPECT_EQ(all.value().layers, std::vector<LayerKind>(4, LayerKind::full_attention));
  EXPECT_TRUE(fails(changed("", [](GgufKeyValues& kv) { kv.string("qwen3next.attention.recurrent_layers", "no"); }),
                    Errc::malformed, {"recurrent_layers"}));
}

TEST(GgufConfig, TakesTheVocabularyFromTheEmbeddingOrTheTokens) {
  const std::vector<StoredTensor> tensors = {{"token_embd.weight", "F32", {777, 256}, {}},
                                             {"output_norm.weight", "F32", {256}, {}}};
  const auto config = changed("qwen3next.vocab_size", {}, tensors);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->vocab_size, 777);
  EXPECT_TRUE(config->tie_word_embeddings) << "no output.weight";
  EXPECT_TRUE(fails(changed("", {}, tensors), Errc::mismatch, {"vocab_size", "512", "777"}));
  const std::vector<std::string_view> tokens(9, "x");
  EXPECT_EQ(changed("qwen3next.vocab_size", [&](GgufKeyValues& kv) { kv.strings("tokenizer.ggml.tokens", tokens); })->vocab_size,
            9);
  EXPECT_TRUE(fails(changed("qwen3next.vocab_size"), Errc::malformed, {"vocab_size", "missing"}));
}

TEST(GgufConfig, KnowsALayerWithoutExpertsByItsTensors) {
  const std::vector<StoredTensor> tensors = {{"blk.1.ffn_gate.weight", "F32", {96, 256}, {}}};
  const auto config =
      changed("qwen3next.feed_forward_length", [](GgufKeyValues& kv) { kv.u32("qwen3next.feed_forward_length", 96); }, tensors);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->mlps, (std::vector{MlpKind::sparse, MlpKind::dense, MlpKind::sparse, MlpKind::sparse}));
  EXPECT_EQ(config->intermediate_size, 96);
  const auto no_width =
      changed("qwen3next.feed_forward_length", [](GgufKeyValues& kv) { kv.u32("qwen3next.feed_forward_length", 0); }, tensors);
  EXPECT_TRUE(fails(no_width, Errc::out_of_range, {"feed_forward_length"}));
}

TEST(GgufConfig, NamesAnArchitectureItDoesNotRun) {
  const auto with = [](std::string_view name) {
    return changed("general.architecture", [&](GgufKeyValues& kv) { kv.string("general.architecture", name); });
  };
  EXPECT_TRUE(fails(with("llama"), Errc::unsupported, {"t.gguf", "llama", "qwen3next"}));
  EXPECT_TRUE(fails(with("qwen35moe"), Errc::unsupported, {"qwen35moe"}));
  EXPECT_TRUE(fails(with(std::string(100'000, '\n')), Errc::unsupported));
  EXPECT_TRUE(fails(changed("general.architecture"), Errc::not_found, {"general.architecture"}));
}

TEST(GgufConfig, RefusesSizesThatAreMissingOutsideTheirBoundsOrOfAnotherKind) {
  for (const char* name :
       {"block_count", "context_length", "embedding_length", "attention.head_count", "attention.key_length", "rope.dimension_count",
        "expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_feed_forward_length", "ssm.conv_kernel",
        "ssm.state_size", "ssm.group_count", "ssm.time_step_rank", "ssm.inner_size"}) {
    const std::string key = std::string("qwen3next.") + name;
    EXPECT_TRUE(fails(changed(key), Errc::malformed, {"t.gguf", key, "missing"}));
    const auto with = [&](uint64_t value) { return changed(key, [&](GgufKeyValues& kv) { kv.u64(key, value); }); };
    if (key != "qwen3next.expert_count") {
      EXPECT_TRUE(fails(with(0), Errc::out_of_range, {"t.gguf", key})) << key;
    }
    EXPECT_TRUE(fails(with(uint64_t{1} << 50), Errc::out_of_range, {"t.gguf", key})) << key;
    EXPECT_TRUE(fails(with(~uint64_t{0}), Errc::malformed, {"t.gguf", key})) << key;
    EXPECT_TRUE(fails(changed(key, [&](GgufKeyValues& kv) { kv.i32(key, -1); }), Errc::out_of_range, {key})) << key;
    EXPECT_TRUE(fails(changed(key, [&](GgufKeyValues& kv) { kv.string(key, "4"); }), Errc::malformed, {key})) << key;
    EXPECT_TRUE(fails(changed(key, [&](GgufKeyValues& kv) { kv.i32s(key, std::vector<int32_t>{4}); }), Errc::malformed, {key}))
        << key;
  }
}

TEST(GgufConfig, RefusesNumbersThatAreNone) {
  for (const char* key : {"qwen3next.rope.freq_base", "qwen3next.attention.layer_norm_rms_epsilon"}) {
    EXPECT_TRUE(fails(changed(key), Errc::malformed, {key, "missing"}));
    for (const float value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
      EXPECT_TRUE(fails(changed(key, [&](GgufKeyValues& kv) { kv.f32(key, value); }), Errc::malformed, {key}));
    EXPECT_TRUE(fails(changed(key, [&](GgufKeyValues& kv) { kv.f32(key, -1); }), Errc::out_of_range, {key}));
  }
}

TEST(GgufConfig, RefusesSizesThatContradictEachOther) {
  const auto with = [](std::string_view key, uint32_t value) {
    return changed(key, [&](GgufKeyValues& kv) { kv.u32(key, value); });
  };
  EXPECT_TRUE(fails(with("qwen3next.attention.head_count_kv", 3), Errc::mismatch, {"4", "3"}));
  EXPECT_TRUE(fails(with("qwen3next.ssm.group_count", 3), Errc::mismatch, {"4", "3"}));
  EXPECT_TRUE(fails(with("qwen3next.ssm.inner_size", 510), Errc::mismatch, {"inner_size", "510"}));
  EXPECT_TRUE(fails(with("qwen3next.rope.dimension_count", 15), Errc::unsupported, {"rotary", "15"}));
  EXPECT_TRUE(fails(with("qwen3next.rope.dimension_count", 66), Errc::unsupported, {"rotary", "66"}));
  EXPECT_TRUE(fails(with("qwen3next.expert_used_count", 7), Errc::out_of_range, {"7", "6"}));
  EXPECT_TRUE(fails(with("qwen3next.attention.value_length", 32), Errc::unsupported, {"value_length", "32"}));
  EXPECT_EQ(changed("qwen3next.attention.head_count_kv")->num_key_value_heads, 4) << "absent: as many as heads";
}

TEST(GgufConfig, RefusesArithmeticItDoesNotDo) {
  const auto with = [](const std::function<void(GgufKeyValues&)>& add) { return changed("", add); };
  EXPECT_TRUE(fails(with([](GgufKeyValues& kv) { kv.string("qwen3next.rope.scaling.type", "longrope"); }), Errc::unsupported,
                    {"longrope"}));
  EXPECT_TRUE(fails(with([](GgufKeyValues& kv) { kv.f32("qwen3next.rope.scaling.factor", 2); }), Errc::unsupported, {"linear"}));
  EXPECT_TRUE(with([](GgufKeyValues& kv) { kv.string("qwen3next.rope.scaling.type", "none"); }));
  EXPECT_TRUE(fails(with([](GgufKeyValues& kv) { kv.boolean("qwen3next.expert_weights_norm", false); }), Errc::unsupported,
                    {"expert_weights_norm"}));
  EXPECT_TRUE(fails(with([](GgufKeyValues& kv) {
                      kv.string("qwen3next.rope.scaling.type", "yarn"), kv.f32("qwen3next.rope.scaling.yarn_ext_factor", 0.5f);
                    }),
                    Errc::unsupported, {"yarn_ext_factor"}));
  ModelConfig config = json_config("gguf/mini.config.json");
  config.norm_topk_prob = false;
  EXPECT_TRUE(fails(again(config), Errc::unsupported, {"norm_topk_prob"}));
  config = json_config("gguf/mini.config.json");
  config.model_type = "qwen3_5_text";
  EXPECT_TRUE(fails(again(config), Errc::unsupported, {"qwen3_5_text"}));
  config.model_type = "qwen3_next", config.max_position_embeddings = int64_t{1} << 33;
  EXPECT_TRUE(fails(again(config), Errc::out_of_range, {"context_length"}));
  config = json_config("gguf/mini.config.json");
  config.yarn = Yarn{.truncate = false};
  EXPECT_TRUE(fails(again(config), Errc::unsupported, {"truncate"}));
}

TEST(GgufConfig, GivesSamplingDefaultsAndTheIdsThatEndATurn) {
  GgufKeyValues kv;
  EXPECT_TRUE(gguf_generation_config(kv.view("t").value()).value().eos_token_ids.empty());
  const std::vector<std::string_view> tokens = {"a", "<|endoftext|>", "<|im_end|>"};
  kv.f32("general.sampling.temp", 0.7f), kv.f32("general.sampling.top_p", 0.8f), kv.i32("general.sampling.top_k", 20);
  kv.u32("tokenizer.ggml.eos_token_id", 2), kv.u32("tokenizer.ggml.padding_token_id", 1),
      kv.strings("tokenizer.ggml.tokens", tokens);
  const auto g = gguf_generation_config(kv.view("t").value());
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_EQ(g->eos_token_ids, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(g->temperature, 0.7);
  EXPECT_EQ(g->top_p, 0.8);
  EXPECT_EQ(g->top_k, 20);
  kv.f32("general.sampling.min_p", 7);
  EXPECT_TRUE(fails(gguf_generation_config(kv.view("t").value()), Errc::out_of_range, {"min_p"}));
}

}  // namespace
}  // namespace quern
