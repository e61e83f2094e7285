#include "formats/mlx_quantization.h"

namespace quern {
namespace {

Result<MlxMode> parse_mode(const Json& value, std::string_view where) {
  if (!value.is_string()) return fail(Errc::malformed, "{}: quantization mode is {}, expected a string", where, value.kind_name());
  const std::string& name = value.as_string();
  if (name == "affine") return MlxMode::affine;
  if (name == "mxfp4") return MlxMode::mxfp4;
  if (name == "mxfp8") return MlxMode::mxfp8;
  if (name == "nvfp4") return MlxMode::nvfp4;
  return fail(Errc::unsupported, "{}: quantization mode \"{}\"; quern reads affine, mxfp4, mxfp8 and nvfp4", where,
              name.substr(0, 40));
}

Result<int64_t> parse_size(const Json& object, std::string_view key, int64_t absent, std::string_view where) {
  const Json* value = object.find(key);
  if (!value || value->is_null()) return absent;
  const auto number = value->to_int64();
  if (!number || *number < 1 || *number > 1024)
    return fail(Errc::out_of_range, "{}: quantization {} is {}, expected a number from 1 to 1024", where, key,
                value->dump().substr(0, 40));
  return *number;
}

// A dict without `mode` means affine, whatever the file's default is; sizes it does not give are mlx-lm's defaults of the mode.
Result<MlxModule> parse_module(const Json& object, std::string_view where) {
  MlxModule module;
  if (const Json* mode = object.find("mode"); mode && !mode->is_null()) {
    QUERN_ASSIGN(module.mode, parse_mode(*mode, where));
  }
  const bool affine = module.mode == MlxMode::affine;
  QUERN_ASSIGN(module.bits, parse_size(object, "bits", module.mode == MlxMode::mxfp8 ? 8 : 4, where));
  QUERN_ASSIGN(module.group_size, parse_size(object, "group_size", affine ? 64 : module.mode == MlxMode::nvfp4 ? 16 : 32, where));
  return module;
}

}  // namespace

Result<QuantFormat> MlxModule::format() const {
  const auto exactly = [&](QuantFormat format, int64_t own_bits, int64_t own_group) -> Result<QuantFormat> {
    if (bits == own_bits && group_size == own_group) return format;
    return fail(Errc::unsupported, "{} with {} bits and groups of {}, expected {} and {}", quant_format_info(format).name, bits,
                group_size, own_bits, own_group);
  };
  switch (mode) {
    case MlxMode::affine:
      return mlx_affine_format(bits, group_size);
    case MlxMode::mxfp4:
      return exactly(QuantFormat::mlx_mxfp4, 4, 32);
    case MlxMode::mxfp8:
      return exactly(QuantFormat::mlx_mxfp8, 8, 32);
    case MlxMode::nvfp4:
      return exactly(QuantFormat::mlx_nvfp4, 4, 16);
  }
  return fail(Errc::unsupported, "unknown mode");
}

Result<MlxQuantization> MlxQuantization::from_config(const Json& config, std::string_view where) {
  MlxQuantization result;
  const Json* found = config.find("quantization");
  if (!found || found->is_null()) found = config.find("quantization_config");
  if (!found || found->is_null()) return result;
  if (!found->is_object()) return fail(Errc::malformed, "{}: quantization is {}, expected an object", where, found->kind_name());
  QUERN_ASSIGN(result.defaults_, parse_module(*found, where));
  for (const auto& [path, value] : found->as_object()) {
    if (value.is_object()) {
      QUERN_ASSIGN(result.modules_[path], parse_module(value, where));
    } else if (value.is_bool()) {
      result.modules_[path] = value.as_bool() ? result.defaults_ : std::nullopt;
    }
  }
  return result;
}

std::optional<MlxModule> MlxQuantization::module(std::string_view path) const {
  const auto at = modules_.find(path);
  return at != modules_.end() ? at->second : defaults_;
}

}  // namespace quern
