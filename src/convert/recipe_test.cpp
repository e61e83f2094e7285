#include "convert/recipe.h"

#include "formats/temporary_folder_test.h"

namespace quern {
namespace {

std::string format_for(const Recipe& recipe, std::string_view tensor) {
  const auto rule = recipe.match(tensor);
  if (!rule) return "no rule";
  const auto format = recipe.rules()[*rule].format;
  return format ? std::string(quant_format_info(*format).name) : "keep";
}

TEST(Recipe, AStarMatchesAnythingAQuestionMarkOneCharacter) {
  for (const auto& [pattern, text, matches] : std::initializer_list<std::tuple<const char*, const char*, bool>>{
           {"*", "", true},
           {"*", "a.b", true},
           {"", "", true},
           {"", "a", false},
           {"a", "ab", false},
           {"b", "ab", false},
           {"*.mlp.gate.weight", "model.layers.3.mlp.gate.weight", true},
           {"*.mlp.gate.weight", "model.layers.3.mlp.gate.weights", false},
           {"*.1?.*", "layers.12.mlp", true},
           {"*.1?.*", "layers.1.mlp", false},
           {"*a*b*", "xxaxxabx", true},
           {"*ab", "aab", true},
           {"?", "", false},
           {"**", "x", true}}) {
    EXPECT_EQ(glob_matches(pattern, text), matches) << pattern << " " << text;
  }
}

TEST(Recipe, TheFirstRuleThatMatchesDecides) {
  const auto recipe = Recipe::parse(
      "# experts\n*.experts.* mxfp4  # small\n\n\t*.experts.7.* f32\r\n*.mlp.gate.weight keep\n*_proj.* mlx-affine-5-g128", "r");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(format_for(*recipe, "model.layers.0.mlp.experts.7.up_proj.weight"), "mlx-mxfp4");
  EXPECT_EQ(format_for(*recipe, "model.layers.0.mlp.gate.weight"), "keep");
  EXPECT_EQ(format_for(*recipe, "model.layers.0.self_attn.q_proj.weight"), "mlx-affine-5-g128");
  EXPECT_EQ(format_for(*recipe, "lm_head.weight"), "no rule");
  EXPECT_EQ(recipe->rules()[1].line, 4);
  EXPECT_EQ(Recipe::parse(recipe->text(), "again").value().text(), recipe->text());
}

TEST(Recipe, SaysWhichLineIsWrongAndHow) {
  EXPECT_TRUE(fails(Recipe::parse("* bf16\n* q4_k\n", "my.recipe"), Errc::invalid_argument,
                    {"my.recipe: line 2", "q4_k", "mxfp4", "affine-4-g64", "keep"}));
  EXPECT_TRUE(fails(Recipe::parse("\n*.experts.*\n", "my.recipe"), Errc::malformed, {"my.recipe: line 2", "no format"}));
  EXPECT_TRUE(fails(Recipe::parse("* bf16 f32\n", "my.recipe"), Errc::malformed, {"line 1", "f32"}));
  EXPECT_TRUE(fails(Recipe::parse("# nothing\n", "my.recipe"), Errc::malformed, {"no rules"}));
  EXPECT_TRUE(fails(Recipe::parse("* \x1b[2J\n", "my.recipe"), Errc::invalid_argument));
  EXPECT_TRUE(fails(Recipe::builtin("q5"), Errc::invalid_argument, {"q5", "mxfp4-q8", "qx86-hi", "q4", "bf16", "f32"}));
}

TEST(Recipe, BuiltInOnesKeepWhatIsSmallAndDecidesMuch) {
  const std::string layer = "model.layers.0.";
  struct Row {
    const char *recipe, *expert, *shared, *attention, *delta, *head, *router, *ba;
  };
  for (const Row& row : {Row{"mxfp4", "mlx-mxfp4", "mlx-mxfp4", "mlx-mxfp4", "mlx-mxfp4", "mlx-mxfp4", "keep", "keep"},
                         Row{"mxfp4-q8", "mlx-mxfp4", "mlx-affine-8-g64", "mlx-affine-8-g64", "mlx-affine-8-g64",
                             "mlx-affine-8-g64", "keep", "keep"},
                         Row{"qx86-hi", "mlx-affine-6-g32", "mlx-affine-8-g32", "mlx-affine-8-g32", "mlx-affine-8-g32",
                             "mlx-affine-8-g32", "mlx-affine-8-g32", "keep"},
                         Row{"q4", "mlx-affine-4-g64", "mlx-affine-4-g64", "mlx-affine-4-g64", "mlx-affine-4-g64",
                             "mlx-affine-4-g64", "keep", "keep"},
                         Row{"bf16", "bf16", "bf16", "bf16", "bf16", "bf16", "bf16", "bf16"}}) {
    const Recipe recipe = Recipe::builtin(row.recipe).value();
    EXPECT_EQ(format_for(recipe, layer + "mlp.experts.11.down_proj.weight"), row.expert) << row.recipe;
    EXPECT_EQ(format_for(recipe, layer + "mlp.shared_expert.gate_proj.weight"), row.shared) << row.recipe;
    EXPECT_EQ(format_for(recipe, layer + "self_attn.q_proj.weight"), row.attention) << row.recipe;
    EXPECT_EQ(format_for(recipe, layer + "linear_attn.in_proj_qkvz.weight"), row.delta) << row.recipe;
    EXPECT_EQ(format_for(recipe, "lm_head.weight"), row.head) << row.recipe;
    EXPECT_EQ(format_for(recipe, "model.embed_tokens.weight"), row.head) << row.recipe;
    for (const char* name : {"mlp.gate.weight", "mlp.shared_expert_gate.weight"})
      EXPECT_EQ(format_for(recipe, layer + name), row.router) << row.recipe;
    for (const char* name : {"in_proj_ba", "in_proj_b", "in_proj_a"})
      EXPECT_EQ(format_for(recipe, layer + "linear_attn." + name + ".weight"), row.ba) << row.recipe;
  }
  for (const BuiltinRecipe& recipe : builtin_recipes()) EXPECT_TRUE(Recipe::builtin(recipe.name)) << recipe.name;
}

TEST(Recipe, ForGgufNamesItsFormats) {
  const auto own = Recipe::parse("*.experts.* mxfp4\n* q5_1\n", "r", ModelContainer::gguf);
  ASSERT_TRUE(own) << own.error().message;
  EXPECT_EQ(own->rules()[0].format, QuantFormat::mxfp4) << "ggml's, not MLX's";
  EXPECT_TRUE(
      fails(Recipe::parse("* affine-4-g64", "r", ModelContainer::gguf), Errc::invalid_argument, {"q4_k", "iq4_xs", "keep"}));
  EXPECT_TRUE(fails(Recipe::parse("* fp8", "r", ModelContainer::gguf), Errc::invalid_argument));
  EXPECT_TRUE(fails(Recipe::builtin("q4_k_m"), Errc::invalid_argument, {"q4_k_m", "qx86-hi"}));
  EXPECT_TRUE(fails(Recipe::builtin("fp8", ModelContainer::gguf), Errc::invalid_argument, {"q4_k_m", "iq4_nl"}));
  const std::string layer = "model.layers.0.";
  struct Row {
    const char *recipe, *up, *down, *shared, *attention, *delta, *head, *embeddings;
  };
  for (const Row& row : {Row{"mxfp4", "mxfp4", "mxfp4", "mxfp4", "mxfp4", "mxfp4", "mxfp4", "mxfp4"},
                         Row{"mxfp4-q8", "mxfp4", "mxfp4", "q8_0", "q8_0", "q8_0", "q8_0", "q8_0"},
                         Row{"qx86-hi", "q6_k", "q6_k", "q8_0", "q8_0", "q8_0", "q8_0", "q8_0"},
                         Row{"q4_k_m", "q4_k", "q5_k", "q6_k", "q6_k", "q6_k", "q6_k", "q4_k"},
                         Row{"q4", "q4_k", "q4_k", "q4_k", "q4_k", "q4_k", "q4_k", "q4_k"},
                         Row{"iq4_nl", "iq4_nl", "iq4_nl", "iq4_nl", "iq4_nl", "iq4_nl", "iq4_nl", "iq4_nl"}}) {
    const Recipe recipe = Recipe::builtin(row.recipe, ModelContainer::gguf).value();
    EXPECT_EQ(format_for(recipe, layer + "mlp.experts.11.up_proj.weight"), row.up) << row.recipe;
    EXPECT_EQ(format_for(recipe, layer + "mlp.experts.11.down_proj.weight"), row.down) << row.recipe;
    EXPECT_EQ(format_for(recipe, layer + "mlp.shared_expert.gate_proj.weight"), row.shared) << row.recipe;
    EXPECT_EQ(format_for(recipe, layer + "self_attn.q_proj.weight"), row.attention) << row.recipe;
    EXPECT_EQ(format_for(recipe, layer + "linear_attn.in_proj_qkvz.weight"), row.delta) << row.recipe;
    EXPECT_EQ(format_for(recipe, "lm_head.weight"), row.head) << row.recipe;
    EXPECT_EQ(format_for(recipe, "model.embed_tokens.weight"), row.embeddings) << row.recipe;
    for (const char* name : {"mlp.gate.weight", "mlp.shared_expert_gate.weight", "linear_attn.in_proj_ba.weight"})
      EXPECT_EQ(format_for(recipe, layer + name), "f32") << row.recipe;
  }
  for (const std::string& name : recipe_names(ModelContainer::gguf))
    EXPECT_TRUE(Recipe::builtin(name, ModelContainer::gguf)) << name;
}

}  // namespace
}  // namespace quern
