#include "convert/recipe.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace quern {
namespace {

// Kept in all that quantise: the router and the shared expert's gate ("*gate.weight"), and what the DeltaNet's decay and beta come from
// (in_proj_ba, or in_proj_b and in_proj_a). They decide much and are small, together less than a thousandth of a model.
constexpr auto kBuiltin = std::to_array<BuiltinRecipe>({
    {"mxfp4", "MXFP4, 4.25 bits a weight",
     "*gate.weight        keep\n"
     "*.in_proj_b*        keep\n"
     "*.in_proj_a.weight  keep\n"
     "*                   mxfp4\n"},
    {"mxfp4-q8", "experts in MXFP4, every other matrix in 8 bits",
     "*gate.weight        keep\n"
     "*.in_proj_b*        keep\n"
     "*.in_proj_a.weight  keep\n"
     "*.mlp.experts.*     mxfp4\n"
     "*                   affine-8-g64\n"},
    {"qx86-hi", "experts in 6 bits, every other matrix in 8; groups of 32",
     "*.in_proj_b*        keep\n"
     "*.in_proj_a.weight  keep\n"
     "*gate.weight        affine-8-g32\n"
     "*.shared_expert.*   affine-8-g32\n"
     "*.mlp.*             affine-6-g32\n"
     "*                   affine-8-g32\n"},
    {"q4", "4 bits in groups of 64, 4.5 bits a weight",
     "*gate.weight        keep\n"
     "*.in_proj_b*        keep\n"
     "*.in_proj_a.weight  keep\n"
     "*                   affine-4-g64\n"},
    {"q6", "6 bits in groups of 64, 6.5 bits a weight",
     "*gate.weight        keep\n"
     "*.in_proj_b*        keep\n"
     "*.in_proj_a.weight  keep\n"
     "*                   affine-6-g64\n"},
    {"q8", "8 bits in groups of 64, 8.5 bits a weight",
     "*gate.weight        keep\n"
     "*.in_proj_b*        keep\n"
     "*.in_proj_a.weight  keep\n"
     "*                   affine-8-g64\n"},
    {"bf16", "16-bit floats, a Hugging Face folder", "* bf16\n"},
    {"f32", "32-bit floats, a Hugging Face folder", "* f32\n"},
});

// What every recipe for GGUF begins with: the same small matrices in f32, as llama.cpp's tools write the router and the gate.
constexpr std::string_view kSmallF32 = "*gate.weight f32\n*.in_proj_b* f32\n";
constexpr auto kBuiltinGguf = std::to_array<BuiltinRecipe>({
    {"mxfp4", "MXFP4, 4.25 bits a weight", "* mxfp4\n"},
    {"mxfp4-q8", "experts in MXFP4, every other matrix in Q8_0", "*.mlp.experts.* mxfp4\n* q8_0\n"},
    {"qx86-hi", "experts in Q6_K, every other matrix in Q8_0", "*.mlp.experts.* q6_k\n* q8_0\n"},
    {"q4_k_m", "Q4_K, embeddings too; experts' down_proj Q5_K; the rest Q6_K",
     "*.mlp.experts.*.down_proj.weight q5_k\n"
     "*.self_attn.*                    q6_k\n"
     "*.linear_attn.*                  q6_k\n"
     "*.shared_expert.*                q6_k\n"
     "lm_head.weight                   q6_k\n"
     "mtp.fc.weight                    q6_k\n"
     "*                                q4_k\n"},
    {"q4", "Q4_K, 4.5 bits a weight", "* q4_k\n"},
    {"q6", "Q6_K, 6.56 bits a weight", "* q6_k\n"},
    {"q8", "Q8_0, 8.5 bits a weight", "* q8_0\n"},
    {"bf16", "16-bit floats", "* bf16\n"},
    {"f32", "32-bit floats", "* f32\n"},
});

constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kMlx = "mlx-";

// "mxfp4" alone is MLX's in a folder and ggml's in a GGUF file.
std::string_view brief_name(const QuantFormatInfo& info) {
  return info.name.starts_with(kMlx) ? info.name.substr(kMlx.size()) : info.name;
}

Result<std::optional<QuantFormat>> format_of(std::string_view word, ModelContainer container) {
  if (word == "keep") return std::optional<QuantFormat>();
  std::string known = "keep";
  for (const QuantFormatInfo& info : quant_formats()) {
    if (!container_holds(container, info.format)) continue;
    if (word == info.name || word == brief_name(info)) return info.format;
    known += fmt::format(", {}", brief_name(info));
  }
  return fail(Errc::invalid_argument, "unknown format \"{}\", expected one of {}", word.substr(0, 40), known);
}

std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

bool container_holds(ModelContainer container, QuantFormat format) {
  const QuantFormatInfo& info = quant_format_info(format);
  return is_plain(format) || (container == ModelContainer::gguf ? info.ggml_type >= 0 : info.name.starts_with(kMlx));
}

std::span<const BuiltinRecipe> builtin_recipes(ModelContainer container) {
  if (container == ModelContainer::gguf) return kBuiltinGguf;
  return kBuiltin;
}

std::vector<std::string> recipe_names(ModelContainer container) {
  std::vector<std::string> names;
  for (const BuiltinRecipe& recipe : builtin_recipes(container)) names.emplace_back(recipe.name);
  if (container != ModelContainer::gguf) return names;
  for (const QuantFormatInfo& info : quant_formats())
    if (container_holds(container, info.format) && std::find(names.begin(), names.end(), info.name) == names.end())
      names.emplace_back(info.name);
  return names;
}

// Greedy with one place to come back to: the last *, which takes one more character each time.
bool glob_matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++, resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1, t = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

Result<Recipe> Recipe::parse(std::string_view text, std::string_view where, ModelContainer container) {
  Recipe recipe;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    const std::string_view pattern = take_word(line), word = take_word(line), more = take_word(line);
    if (pattern.empty()) continue;
    if (word.empty())
      return fail(Errc::malformed, "{}: line {}: \"{}\" has no format; expected PATTERN FORMAT", where, number,
                  pattern.substr(0, 100));
    if (!more.empty())
      return fail(Errc::malformed, "{}: line {}: \"{}\" after the format; expected PATTERN FORMAT", where, number,
                  more.substr(0, 100));
    const auto format = format_of(word, container);
    if (!format) return with_context(format.error(), fmt::format("{}: line {}", where, number));
    recipe.rules_.push_back({std::string(pattern), *format, number});
  }
  if (recipe.rules_.empty()) return fail(Errc::malformed, "{}: no rules; expected lines of PATTERN FORMAT", where);
  return recipe;
}

Result<Recipe> Recipe::builtin(std::string_view name, ModelContainer container) {
  const std::vector<std::string> names = recipe_names(container);
  if (std::find(names.begin(), names.end(), name) == names.end())
    return fail(Errc::invalid_argument, "unknown format \"{}\", expected one of {}", name.substr(0, 40), fmt::join(names, ", "));
  std::string text = fmt::format("* {}\n", name);
  for (const BuiltinRecipe& recipe : builtin_recipes(container))
    if (recipe.name == name) text = recipe.text;
  if (container == ModelContainer::gguf) text.insert(0, kSmallF32);
  QUERN_ASSIGN(Recipe parsed, parse(text, name, container));
  for (RecipeRule& rule : parsed.rules_) rule.line = 0;
  return parsed;
}

std::optional<size_t> Recipe::match(std::string_view tensor) const {
  for (size_t i = 0; i < rules_.size(); ++i)
    if (glob_matches(rules_[i].pattern, tensor)) return i;
  return {};
}

std::string Recipe::text() const {
  std::string out;
  for (const RecipeRule& rule : rules_)
    out += fmt::format("{} {}\n", rule.pattern, rule.format ? quant_format_info(*rule.format).name : "keep");
  return out;
}

}  // namespace quern
