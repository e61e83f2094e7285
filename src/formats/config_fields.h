// What the readers of a model's config share, whether it stands in config.json or in GGUF metadata: fields of one object read with their
// bounds, the sizes both formats have under different names, and the checks of one size against another. Used by formats only.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "formats/config_json.h"

namespace quern {

constexpr int64_t kMaxDimension = int64_t{1} << 24;  // of any one size: products of three still fit in 64 bits with room
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxContext = int64_t{1} << 40;

// Reads fields of one object and remembers the first error, so that a list of fields reads as a list. A field whose value is wrong reads
// as its lower bound.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  int64_t integer(std::string_view key, int64_t low, int64_t high, std::optional<int64_t> absent = {});
  double real(std::string_view key, double low, double high, std::optional<double> absent = {});
  std::optional<double> optional_real(std::string_view key, double low, double high);
  bool boolean(std::string_view key, bool absent);
  std::string text(std::string_view key, std::string absent);
  // A number, a list of numbers, or absent.
  std::vector<int64_t> integers(std::string_view key, int64_t low, int64_t high, size_t most);
  const Json* present(std::string_view key) const;
  void set(tl::unexpected<Error> error);
  const std::optional<Error>& error() const { return error_; }
  const std::string& where() const { return where_; }

 private:
  int64_t missing(std::string_view key);

  const Json& object_;
  std::string where_;
  std::optional<Error> error_;
};

enum class ConfigSource { json, gguf };

// A size of the model: its name in either format, its place, its bounds, and what config.json means by leaving it out.
struct ConfigSize {
  std::string_view json;
  std::string_view gguf;  // empty: GGUF says it in another way
  int64_t ModelConfig::* member;
  int64_t low, high;
  std::optional<int64_t> absent = {};
  int64_t ModelConfig::* absent_as = nullptr;  // in both formats: the same as another size, which stands earlier
};
std::span<const ConfigSize> model_sizes();
std::span<const ConfigSize> expert_sizes();  // where a layer has experts
const ConfigSize& dense_size();              // where a layer has none: intermediate_size
void read_size(Fields& config, const ConfigSize& size, ConfigSource source, ModelConfig& m);
// Sizes of the MLPs that m.mlps names.
void read_mlp_sizes(Fields& config, ConfigSource source, ModelConfig& m);

// Every interval-th of `count` layers attends, the others are linear.
std::vector<LayerKind> layers_by_interval(int64_t count, int64_t interval);

struct YarnNames {
  std::string_view original_max_position, factor, beta_fast, beta_slow;
};
Yarn read_yarn_numbers(Fields& rope, const YarnNames& names, int64_t max_position);

// What must hold between sizes: heads divide, rotary_dim is even and inside a head, no more experts are used than there are.
void check_sizes(Fields& config, const ModelConfig& m);

}  // namespace quern
