#include "catalogue.h"

#include <fmt/format.h>

#include <algorithm>

#include "formats/gguf.h"

namespace quern {

namespace fs = std::filesystem;

void add_found_model(std::vector<FoundModel>& models, const fs::path& path) {
  std::error_code ignored;
  const fs::path whole = fs::weakly_canonical(path, ignored);
  if (std::any_of(models.begin(), models.end(), [&](const FoundModel& m) { return m.path == whole; })) return;
  const std::string stem = whole.extension() == ".gguf" ? whole.stem().string() : whole.filename().string();
  std::string name = stem;
  for (int number = 2; std::any_of(models.begin(), models.end(), [&](const FoundModel& m) { return m.name == name; }); ++number)
    name = fmt::format("{}-{}", stem, number);
  models.push_back({std::move(name), whole});
}

Result<void> add_models_of(std::vector<FoundModel>& models, const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const fs::path& path = entry->path();
    std::error_code ignored;
    const bool is_gguf = path.extension() == ".gguf" && gguf_part(path.filename().string()) <= 1;
    if (is_gguf || fs::is_regular_file(path / "config.json", ignored)) found.push_back(path);
  }
  if (error) return fail(Errc::not_found, "{}: {}", folder.string(), error.message());
  std::sort(found.begin(), found.end());
  for (const fs::path& path : found) add_found_model(models, path);
  return {};
}

}  // namespace quern
