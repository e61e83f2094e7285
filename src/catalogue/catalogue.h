// The catalogue: one folder that holds a user's models. `quern pull` fills it, --model finds a name in it, `quern serve` offers what is
// there. A model is a folder (a checkpoint, or one GGUF file and its parts) or a .gguf file; its name is that of the folder or of the file
// without its ending. What quern pulled has a record beside its files that says where it came from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace quern {

// Where a model came from: quern-source.json in its folder.
struct ModelSource {
  std::string endpoint, repository, revision;  // as they were asked for: https://…, ORG/NAME, main
  std::string commit;
  std::map<std::string, std::string> files;  // by path, what identifies the content: "sha256:…", "git:…"

  static constexpr std::string_view kFile = "quern-source.json";
  Json to_json() const;
  static Result<ModelSource> from_json(const Json& json, std::string_view where);
  static std::optional<ModelSource> of(const std::filesystem::path& model);  // nothing: not pulled, or unreadable
};

struct CatalogueModel {
  std::string name;
  std::filesystem::path path;
  uint64_t bytes = 0;  // of all its files
  std::optional<ModelSource> source;
};

// A pull that has not ended yet, or was cut off.
struct UnfinishedModel {
  std::string name, repository;
  uint64_t bytes = 0, total = 0;
};

class Catalogue {
 public:
  explicit Catalogue(std::filesystem::path folder) : folder_(std::move(folder)) {}
  // $QUERN_MODELS, $XDG_DATA_HOME/quern/models or ~/.local/share/quern/models. The values of the variables, null where unset; not_found:
  // none of them says.
  static Result<Catalogue> usual(const char* quern_models, const char* xdg_data_home, const char* home);
  // Letters, digits, '-', '_', '.' and '+', not at the beginning '.', 128 at most, no ending that means something here (.gguf, .partial).
  static Result<void> check_name(std::string_view name);

  const std::filesystem::path& folder() const { return folder_; }
  // By name. A folder that is not there holds none. io: it cannot be read.
  Result<std::vector<CatalogueModel>> models() const;
  std::vector<UnfinishedModel> unfinished() const;
  // A model's name, or ORG/NAME if exactly one model was pulled from there. Nothing: there is none.
  std::optional<CatalogueModel> find(std::string_view name) const;
  // A model, what a pull of it left behind, or both. A link is removed, not what it points to. not_found; invalid_argument (a name that is
  // none); busy (it is being pulled); io.
  Result<void> remove(const std::string& name) const;

  std::filesystem::path model_folder(const std::string& name) const { return folder_ / name; }
  std::filesystem::path partial_folder(const std::string& name) const { return folder_ / (name + ".partial"); }

 private:
  std::filesystem::path folder_;
};

// The name that a folder or a .gguf file has as a model.
std::string name_of_model(const std::filesystem::path& path);
// Models in a folder, as the catalogue lists them.
Result<std::vector<CatalogueModel>> models_in(const std::filesystem::path& folder);

}  // namespace quern
