#include "models.h"

#include <algorithm>
#include <cstdlib>

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEmbeddedModel = "pebble";

// ../share/quern/models beside the folder of the program, wherever that was installed or moved to.
fs::path models_beside_program() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path() : program.parent_path().parent_path() / "share/quern/models";
}

}  // namespace

Result<Catalogue> users_catalogue() {
  return Catalogue::usual(std::getenv("QUERN_MODELS"), std::getenv("XDG_DATA_HOME"), std::getenv("HOME"));
}

Result<fs::path> embedded_model() {
  std::error_code ignored;
  const auto catalogue = users_catalogue();
  for (const fs::path& models : {catalogue ? catalogue->folder() : fs::path(), models_beside_program(),
                                 fs::path(QUERN_INSTALLED_MODELS), fs::path(QUERN_SOURCE_MODELS)})
    if (fs::path folder = models / kEmbeddedModel; !models.empty() && fs::exists(folder / "config.json", ignored)) return folder;
  return fail(Errc::not_found, "the embedded model {} is in neither {} nor {} (QUERN_MODELS names another place)", kEmbeddedModel,
              QUERN_INSTALLED_MODELS, QUERN_SOURCE_MODELS);
}

Result<fs::path> named_model(const std::string& named) {
  std::error_code ignored;
  if (fs::exists(named, ignored)) return fs::path(named);
  const auto catalogue = users_catalogue();
  if (catalogue)
    if (auto model = catalogue->find(named)) return std::move(model->path);
  if (named == kEmbeddedModel) return embedded_model();
  std::string names;
  for (const KnownModel& known : known_models()) {
    if (names.size() > 500) {
      names += ", …";
      break;
    }
    names += (names.empty() ? "" : ", ") + known.model.name;
  }
  return fail(Errc::not_found, "{}: no such file or folder, nor a model of that name{}{}", named,
              catalogue ? " in " + catalogue->folder().string() : "", names.empty() ? "" : " (there are " + names + ")");
}

std::vector<KnownModel> known_models() {
  std::vector<KnownModel> known;
  if (const auto catalogue = users_catalogue())
    if (auto models = catalogue->models())
      for (CatalogueModel& model : *models) known.push_back({std::move(model), false});
  const auto embedded = embedded_model();
  if (!embedded || std::any_of(known.begin(), known.end(), [](const KnownModel& k) { return k.model.name == kEmbeddedModel; }))
    return known;
  if (auto beside = models_in(embedded->parent_path()))
    for (CatalogueModel& model : *beside)
      if (model.name == kEmbeddedModel) known.push_back({std::move(model), true});
  return known;
}

std::string size_text(uint64_t bytes) {
  constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) value /= 1024, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

}  // namespace quern
