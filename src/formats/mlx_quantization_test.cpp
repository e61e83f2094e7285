#include "formats/mlx_quantization.h"

#include "formats/temporary_folder_test.h"

namespace quern {
namespace {

Result<MlxQuantization> parse(std::string_view json) {
  return MlxQuantization::from_config(Json::parse(json, "test").value(), "config.json");
}

QuantFormat format_of(const MlxQuantization& quantization, std::string_view path) {
  return quantization.module(path).value().format().value();
}

TEST(MlxQuantization, KnowsNoModuleWhereTheConfigHasNone) {
  EXPECT_FALSE(parse("{}").value().module("model.layers.0.mlp.gate"));
  EXPECT_FALSE(parse(R"({"quantization": null})").value().module("lm_head"));
}

TEST(MlxQuantization, FillsInTheDefaultsOfEachMode) {
  const auto of = [](std::string_view object) {
    return format_of(parse(fmt::format(R"({{"quantization": {}}})", object)).value(), "lm_head");
  };
  EXPECT_EQ(of("{}"), QuantFormat::mlx_affine_4_g64);
  EXPECT_EQ(of(R"({"bits": 6})"), QuantFormat::mlx_affine_6_g64);
  EXPECT_EQ(of(R"({"mode": "affine", "group_size": 32})"), QuantFormat::mlx_affine_4_g32);
  EXPECT_EQ(of(R"({"mode": "mxfp4"})"), QuantFormat::mlx_mxfp4);
  EXPECT_EQ(of(R"({"mode": "mxfp8"})"), QuantFormat::mlx_mxfp8);
  EXPECT_EQ(of(R"({"mode": "nvfp4"})"), QuantFormat::mlx_nvfp4);
}

TEST(MlxQuantization, HasModulesOfTheirOwn) {
  const MlxQuantization q = parse(R"({"quantization_config": {"group_size": 32, "bits": 4, "mode": "mxfp4",
      "model.layers.0.mlp.gate": {"group_size": 64, "bits": 8}, "model.layers.1.mlp.gate": false, "lm_head": true}})")
                                .value();
  EXPECT_EQ(format_of(q, "model.layers.0.mlp.gate"), QuantFormat::mlx_affine_8_g64) << "no mode means affine";
  EXPECT_FALSE(q.module("model.layers.1.mlp.gate"));
  EXPECT_EQ(format_of(q, "lm_head"), QuantFormat::mlx_mxfp4);
  EXPECT_EQ(format_of(q, "model.layers.2.mlp.gate"), QuantFormat::mlx_mxfp4);
}

TEST(MlxQuantization, RefusesWhatItDoesNotKnowByName) {
  EXPECT_TRUE(fails(parse(R"({"quantization": 4})"), Errc::malformed, {"config.json", "object"}));
  EXPECT_TRUE(fails(parse(R"({"quantization": {"mode": "fp3"}})"), Errc::unsupported, {"fp3", "nvfp4"}));
  EXPECT_TRUE(fails(parse(R"({"quantization": {"mode": 3}})"), Errc::malformed, {"mode"}));
  EXPECT_TRUE(fails(parse(R"({"quantization": {"bits": 0}})"), Errc::out_of_range, {"bits", "0"}));
  EXPECT_TRUE(fails(parse(R"({"quantization": {"group_size": "64"}})"), Errc::out_of_range, {"group_size"}));
  EXPECT_TRUE(fails(parse(R"({"quantization": {"bits": 7}})").value().module("x").value().format(), Errc::unsupported, {"7"}));
  EXPECT_TRUE(fails(parse(R"({"quantization": {"mode": "mxfp4", "bits": 8}})").value().module("x").value().format(),
                    Errc::unsupported, {"8"}));
}

}  // namespace
}  // namespace quern
