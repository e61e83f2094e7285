#include "formats/config_json.h"

#include <cmath>

#include "base/file.h"
#include "formats/temporary_folder_test.h"

namespace quern {
namespace {

std::string tiny_text() { return read_file(std::string(QUERN_REPO) + "/tests/data/tiny/config.json").value(); }

// tiny's config with some fields replaced; a value is JSON text, "" takes the field out.
Result<ModelConfig> config_with(std::initializer_list<std::pair<const char*, std::string>> changes) {
  Json json = Json::parse(tiny_text(), "tiny").value();
  for (const auto& [key, text] : changes) {
    if (text.empty())
      std::erase_if(json.as_object(), [k = key](const Json::Member& member) { return member.first == k; });
    else
      json[key] = Json::parse(text, key).value();
  }
  return ModelConfig::from_json(json, "config.json");
}

TEST(ModelConfig, ReadsEveryFieldTheArithmeticNeeds) {
  const auto c = config_with({});
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->hidden_size, 64);
  EXPECT_EQ(c->vocab_size, 512);
  EXPECT_EQ(c->rotary_dim, 8);
  EXPECT_EQ(c->rope_theta, 1e7);
  EXPECT_EQ(c->layers, (std::vector{LayerKind::linear_attention, LayerKind::linear_attention, LayerKind::linear_attention,
                                    LayerKind::full_attention}));
  EXPECT_EQ(c->conv_channels(), 2 * 2 * 16 + 4 * 16);
  EXPECT_EQ(c->eos_token_ids, std::vector<int64_t>{1});
  EXPECT_FALSE(c->yarn);
}

TEST(ModelConfig, IsReadAsItWasWritten) {
  for (const auto& config :
       {config_with({}), config_with({{"tie_word_embeddings", "true"}, {"norm_topk_prob", "false"}, {"eos_token_id", "[7, 1]"}}),
        config_with({{"layer_types", R"(["full_attention", "linear_attention", "full_attention", "linear_attention"])"}}),
        config_with({{"full_attention_interval", "9"}, {"mlp_only_layers", "[0, 2]"}}),
        config_with({{"head_dim", "56"}, {"partial_rotary_factor", "0.3572"}}),
        config_with({{"rope_scaling", R"({"rope_type": "yarn", "factor": 4.5, "original_max_position_embeddings": 1024,
                                          "beta_fast": 16, "mscale": 0.7, "mscale_all_dim": 0.9, "truncate": false})"}})}) {
    ASSERT_TRUE(config) << config.error().message;
    const auto again = ModelConfig::from_json(config->to_json(), "again");
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->to_json(), config->to_json());
    EXPECT_EQ(again->layers, config->layers);
    EXPECT_EQ(again->mlps, config->mlps);
    EXPECT_EQ(again->rotary_dim, config->rotary_dim);
    EXPECT_EQ(again->hidden_size, config->hidden_size);
    EXPECT_EQ(again->intermediate_size, config->intermediate_size);
    EXPECT_EQ(again->eos_token_ids.front(), config->eos_token_ids.front());
    EXPECT_EQ(again->yarn.has_value(), config->yarn.has_value());
    if (config->yarn) {
      EXPECT_EQ(again->yarn->attention_scale(), config->yarn->attention_scale());
    }
  }
}

TEST(ModelConfig, NamesAnArchitectureItDoesNotRun) {
  EXPECT_TRUE(fails(config_with({{"model_type", "\"llama\""}, {"architectures", "[\"LlamaForCausalLM\"]"}}), Errc::unsupported,
                    {"llama", "LlamaForCausalLM"}));
  EXPECT_TRUE(fails(config_with({{"model_type", ""}}), Errc::unsupported));
  EXPECT_TRUE(fails(config_with({{"model_type", "3"}}), Errc::malformed, {"model_type"}));
  EXPECT_TRUE(fails(config_with({{"model_type", "\"a\\nb\""}}), Errc::unsupported)) << "one line, whatever the name";
}

TEST(ModelConfig, RefusesSizesOutsideTheirBoundsByName) {
  for (const char* key :
       {"hidden_size", "vocab_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
        "linear_num_key_heads", "linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim", "linear_conv_kernel_dim",
        "num_experts", "num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size", "max_position_embeddings",
        "full_attention_interval"})
    for (const char* value : {"0", "-1", "1099511627777", "9223372036854775807"})
      EXPECT_TRUE(fails(config_with({{key, value}}), Errc::out_of_range, {"config.json", key, value})) << key << " " << value;
}

TEST(ModelConfig, RefusesValuesOfTheWrongKindByName) {
  for (const char* key : {"hidden_size", "vocab_size", "num_experts", "head_dim", "linear_conv_kernel_dim", "decoder_sparse_step",
                          "num_nextn_predict_layers"})
    for (const char* value : {"\"64\"", "[64]", "{}", "true", "64.5", "1e300", "18446744073709551616"})
      EXPECT_TRUE(fails(config_with({{key, value}}), Errc::malformed, {key})) << key << " " << value;
  for (const char* key : {"norm_topk_prob", "tie_word_embeddings", "attention_bias"})
    EXPECT_TRUE(fails(config_with({{key, "1"}}), Errc::malformed, {key}));
  for (const char* key : {"rms_norm_eps", "rope_theta", "partial_rotary_factor"})
    EXPECT_TRUE(fails(config_with({{key, "\"x\""}}), Errc::malformed, {key}));
  for (const char* key : {"rms_norm_eps", "rope_theta", "partial_rotary_factor"})
    EXPECT_TRUE(fails(config_with({{key, "1e300"}}), Errc::out_of_range, {key}));
  EXPECT_TRUE(fails(config_with({{"eos_token_id", "[1,-2]"}}), Errc::malformed, {"eos_token_id"}));
}

TEST(ModelConfig, NamesTheFieldThatIsMissing) {
  for (const char* key : {"hidden_size", "vocab_size", "num_hidden_layers", "num_attention_heads", "num_experts"})
    EXPECT_TRUE(fails(config_with({{key, ""}}), Errc::malformed, {key, "missing"}));
}

TEST(ModelConfig, RefusesHeadsThatDoNotDivide) {
  EXPECT_TRUE(fails(config_with({{"num_key_value_heads", "3"}}), Errc::mismatch, {"4", "3"}));
  EXPECT_TRUE(fails(config_with({{"linear_num_key_heads", "3"}}), Errc::mismatch, {"4", "3"}));
  EXPECT_TRUE(fails(config_with({{"num_experts_per_tok", "9"}}), Errc::out_of_range, {"num_experts_per_tok"}));
}

TEST(ModelConfig, RefusesArithmeticItDoesNotDo) {
  EXPECT_TRUE(fails(config_with({{"attention_bias", "true"}}), Errc::unsupported, {"attention_bias"}));
  EXPECT_TRUE(fails(config_with({{"hidden_act", "\"gelu\""}}), Errc::unsupported, {"gelu"}));
  EXPECT_TRUE(fails(config_with({{"attn_output_gate", "false"}}), Errc::unsupported, {"attn_output_gate"}));
  EXPECT_TRUE(fails(config_with({{"partial_rotary_factor", "0.1"}}), Errc::unsupported, {"rotary"}));
  EXPECT_TRUE(fails(config_with({{"rope_scaling", R"({"rope_type":"llama3","factor":8})"}}), Errc::unsupported, {"llama3"}));
  EXPECT_TRUE(fails(config_with({{"layer_types", R"(["full_attention","sliding_attention","full_attention","full_attention"])"}}),
                    Errc::unsupported, {"sliding_attention", "[1]"}));
}

TEST(ModelConfig, RefusesBrokenRopeAndLayerLists) {
  EXPECT_TRUE(fails(config_with({{"rope_scaling", "3"}}), Errc::malformed, {"rope"}));
  EXPECT_TRUE(fails(config_with({{"rope_scaling", R"({"rope_type":"yarn","factor":0})"}}), Errc::out_of_range, {"factor"}));
  EXPECT_TRUE(fails(config_with({{"rope_scaling", R"({"rope_type":"yarn","factor":"4"})"}}), Errc::malformed, {"factor"}));
  EXPECT_TRUE(fails(config_with({{"layer_types", "[]"}}), Errc::malformed, {"layer_types"}));
  EXPECT_TRUE(fails(config_with({{"layer_types", "{}"}}), Errc::malformed, {"layer_types"}));
  EXPECT_TRUE(fails(config_with({{"mlp_only_layers", "[\"2\"]"}}), Errc::malformed, {"mlp_only_layers"}));
}

TEST(ModelConfig, RefusesFilesThatAreNotAnObject) {
  const TemporaryFolder folder;
  const auto load = [&](std::string_view text) { return ModelConfig::load(folder.write("config.json", text)); };
  for (const std::string_view text :
       {"", "null", "[]", "3", "\"config\"", "{", "{\"hidden_size\": NaN}", "{\"hidden_size\": Infinity}",
        "{\"hidden_size\": 1e400}", "{\"a\": \"\xff\"}", "{'a': 1}", "{} {}", "\xEF\xBB\xBF"})
    EXPECT_TRUE(fails(load(text), Errc::malformed, {"config.json"})) << text;
  EXPECT_TRUE(fails(load(std::string(1'000'000, '[')), Errc::malformed, {"deeper"}));
  EXPECT_TRUE(fails(load(std::string((16 << 20) + 1, ' ')), Errc::out_of_range));
  EXPECT_TRUE(fails(ModelConfig::load(folder / "absent.json"), Errc::not_found, {"absent.json"}));
  EXPECT_TRUE(ModelConfig::load(folder.write("config.json", tiny_text())));
}

TEST(GenerationConfig, IsOptionalButCheckedWhenItIsThere) {
  const TemporaryFolder folder;
  EXPECT_TRUE(GenerationConfig::load(folder / "absent.json"));
  const auto load = [&](std::string_view text) { return GenerationConfig::load(folder.write("g.json", text)); };
  const auto good = load(
      R"({"eos_token_id": [5, 6], "temperature": 0.7, "top_p": 0.8, "top_k": 20, "do_sample": true, "transformers_version": "4.57"})");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->eos_token_ids, (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(good->top_k, 20);
  EXPECT_TRUE(fails(load("[]"), Errc::malformed));
  EXPECT_TRUE(fails(load(R"({"temperature": -1})"), Errc::out_of_range, {"temperature"}));
  EXPECT_TRUE(fails(load(R"({"top_p": 1.5})"), Errc::out_of_range, {"top_p"}));
  EXPECT_TRUE(fails(load(R"({"top_k": "many"})"), Errc::malformed, {"top_k"}));
  EXPECT_TRUE(fails(load(R"({"do_sample": 1})"), Errc::malformed, {"do_sample"}));
}

}  // namespace
}  // namespace quern
