// Models that are found in folders, and what they are called.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace quern {

struct FoundModel {
  std::string name;
  std::filesystem::path path;
};

// Adds a model under that name, or its folder's or file's, with a number where two have the same; a path that is there already is not added
// again.
void add_found_model(std::vector<FoundModel>& models, const std::filesystem::path& path, const std::string& called = {});
// Adds those of a folder, as src/catalogue lists them. not_found: no such folder; io.
Result<void> add_models_of(std::vector<FoundModel>& models, const std::filesystem::path& folder);

}  // namespace quern
