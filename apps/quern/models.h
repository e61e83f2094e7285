// The user's models: where the catalogue lies, what --model means, and a few words about sizes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalogue/catalogue.h"

namespace quern {

// The folder that QUERN_MODELS, XDG_DATA_HOME or HOME names.
Result<Catalogue> users_catalogue();

// pebble's folder: in the catalogue, beside the program's installation, or in the sources it was built from.
Result<std::filesystem::path> embedded_model();

// A model by its path, by its name in the catalogue, or by the repository it was pulled from; also "pebble". not_found says what there is.
Result<std::filesystem::path> named_model(const std::string& named);

// The catalogue's models, and pebble where it is not among them.
struct KnownModel {
  CatalogueModel model;
  bool comes_with_quern = false;
};
std::vector<KnownModel> known_models();

std::string size_text(uint64_t bytes);  // "1.5 GiB"

}  // namespace quern
