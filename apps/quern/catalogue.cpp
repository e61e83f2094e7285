#include "catalogue.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalogue/catalogue.h"

namespace quern {

namespace fs = std::filesystem;

void add_found_model(std::vector<FoundModel>& models, const fs::path& path, const std::string& called) {
  std::error_code ignored;
  const fs::path whole = fs::weakly_canonical(path, ignored);
  if (std::any_of(models.begin(), models.end(), [&](const FoundModel& m) { return m.path == whole; })) return;
  const std::string stem = called.empty() ? name_of_model(whole) : called;
  std::string name = stem;
  for (int number = 2; std::any_of(models.begin(), models.end(), [&](const FoundModel& m) { return m.name == name; }); ++number)
    name = fmt::format("{}-{}", stem, number);
  models.push_back({std::move(name), whole});
}

Result<void> add_models_of(std::vector<FoundModel>& models, const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) return fail(Errc::not_found, "{}: no such folder", folder.string());
  QUERN_ASSIGN(const auto found, models_in(folder));
  for (const CatalogueModel& model : found) add_found_model(models, model.path, model.name);
  return {};
}

}  // namespace quern
