// Recipe: which storage format each matrix of a model gets. A list of rules, PATTERN FORMAT, over the published names of tensors; the first
// rule whose pattern matches decides. Rules are text, the built-in ones too:
//
//   # experts small, the rest large
//   *.mlp.experts.*     mxfp4
//   *.mlp.gate.weight   keep
//   *                   affine-8-g64
//
// In a pattern * stands for any characters (dots too) and ? for one; a pattern matches whole names. What may be named depends on what is
// written. A folder: MLX's formats, by their names in quant/format.h with or without "mlx-". A GGUF file: ggml's. Either: f32, f16, bf16, and
// keep: as the matrix is stored where the container can hold that, bf16 otherwise. What no rule matches is kept. Vectors (norms,
// convolutions, A_log, dt_bias) are none of a recipe's business: see output_tensors.h.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "quant/format.h"

namespace quern {

enum class ModelContainer { folder, gguf };
// Plain floats in either; MLX's formats in folders, ggml's in GGUF files.
bool container_holds(ModelContainer container, QuantFormat format);

struct RecipeRule {
  std::string pattern;
  std::optional<QuantFormat> format;  // absent: keep
  int line = 0;                       // of the text, from 1; 0 in a built-in recipe
};

class Recipe {
 public:
  // Errors: malformed (where, the line and what is wrong with it), invalid_argument (a format by its name; the message lists them).
  static Result<Recipe> parse(std::string_view text, std::string_view where, ModelContainer container = ModelContainer::folder);
  // For GGUF also any of ggml's formats by its name: that for all but the small matrices that decide much.
  // Errors: invalid_argument (no recipe of that name; the message lists them).
  static Result<Recipe> builtin(std::string_view name, ModelContainer container = ModelContainer::folder);

  const std::vector<RecipeRule>& rules() const { return rules_; }
  // Index of the first rule that matches.
  std::optional<size_t> match(std::string_view tensor) const;
  // The rules alone, one a line: equal for recipes that say the same.
  std::string text() const;

 private:
  std::vector<RecipeRule> rules_;
};

struct BuiltinRecipe {
  std::string_view name, summary;
  std::string_view text;  // for GGUF: what follows the rules that all of them begin with
};
std::span<const BuiltinRecipe> builtin_recipes(ModelContainer container = ModelContainer::folder);
// What Recipe::builtin takes: the built-in recipes, then for GGUF the formats.
std::vector<std::string> recipe_names(ModelContainer container);

// Whether all of `text` is what the pattern says.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace quern
