#include "catalogue/catalogue.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "catalogue/pull_record.h"
#include "formats/checkpoint.h"
#include "formats/gguf.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxRecord = 16 << 20;

uint64_t bytes_below(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return fs::is_regular_file(path, error) ? fs::file_size(path, error) : 0;
  uint64_t bytes = 0;
  for (fs::recursive_directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) bytes += at->file_size(ignored);
  }
  return bytes;
}

// "x" of x.gguf and of x-00001-of-00003.gguf.
std::string gguf_name(const fs::path& file) {
  std::string stem = file.stem().string();
  if (gguf_part(file.filename().string()) > 0) stem.resize(stem.size() - std::string_view("-00001-of-00003").size());
  return stem;
}

bool is_model_folder(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path / "config.json", ignored)) return true;
  const auto gguf = gguf_of_model(path);
  return !gguf || gguf->has_value();  // several are models that somebody has to choose among
}

}  // namespace

Json ModelSource::to_json() const {
  Json json = Json::object();
  json["endpoint"] = endpoint;
  json["repository"] = repository;
  json["revision"] = revision;
  json["commit"] = commit;
  Json list = Json::object();
  for (const auto& [path, identity] : files) list[path] = identity;
  json["files"] = std::move(list);
  return json;
}

Result<ModelSource> ModelSource::from_json(const Json& json, std::string_view where) {
  ModelSource source;
  for (const auto& [key, value] : {std::pair("endpoint", &source.endpoint),
                                   {"repository", &source.repository},
                                   {"revision", &source.revision},
                                   {"commit", &source.commit}}) {
    const Json* text = json.find(key);
    if (!text || !text->is_string()) return fail(Errc::malformed, "{}: {}: expected a string", where, key);
    *value = text->as_string();
  }
  const Json* files = json.find("files");
  if (!files || !files->is_object()) return fail(Errc::malformed, "{}: files: expected an object", where);
  for (const auto& [path, identity] : files->as_object())
    if (identity.is_string()) source.files[path] = identity.as_string();
  return source;
}

std::optional<ModelSource> ModelSource::of(const fs::path& model) {
  const auto text = read_file(model / kFile, kMaxRecord);
  if (!text) return {};
  const auto json = Json::parse(*text, kFile);
  if (!json) return {};
  auto source = from_json(*json, kFile);
  return source ? std::optional(std::move(*source)) : std::nullopt;
}

Result<Catalogue> Catalogue::usual(const char* quern_models, const char* xdg_data_home, const char* home) {
  if (quern_models && *quern_models) return Catalogue(fs::absolute(quern_models));
  if (xdg_data_home && *xdg_data_home == '/') return Catalogue(fs::path(xdg_data_home) / "quern/models");
  if (home && *home) return Catalogue(fs::path(home) / ".local/share/quern/models");
  return fail(Errc::not_found, "neither QUERN_MODELS nor XDG_DATA_HOME nor HOME says where models are kept");
}

Result<void> Catalogue::check_name(std::string_view name) {
  const bool fits = !name.empty() && name.size() <= 128 && name[0] != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.+").find(c) != std::string_view::npos;
  });
  if (fits && !name.ends_with(".gguf") && !name.ends_with(".partial")) return {};
  return fail(Errc::invalid_argument, "{}: is no name of a model: letters, digits, - _ . +, at most 128, without .gguf at the end",
              name.substr(0, 200));
}

std::string name_of_model(const fs::path& path) { return path.extension() == ".gguf" ? gguf_name(path) : path.filename().string(); }

Result<std::vector<CatalogueModel>> models_in(const fs::path& folder) {
  std::vector<CatalogueModel> found;
  std::error_code error;
  if (!fs::exists(folder, error)) return found;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const fs::path& path = at->path();
    const std::string name = path.filename().string();
    std::error_code ignored;
    if (name.starts_with('.') || name.ends_with(".partial")) continue;
    if (at->is_directory(ignored)) {
      if (is_model_folder(path)) found.push_back({name, path, bytes_below(path), ModelSource::of(path)});
    } else if (path.extension() == ".gguf" && gguf_part(name) <= 1) {
      found.push_back({gguf_name(path), path, bytes_below(path), {}});
    }
  }
  if (error) return fail(Errc::io, "{}: {}", folder.string(), error.message());
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return std::tie(a.name, a.path) < std::tie(b.name, b.path); });
  return found;
}

Result<std::vector<CatalogueModel>> Catalogue::models() const { return models_in(folder_); }

std::vector<UnfinishedModel> Catalogue::unfinished() const {
  std::vector<UnfinishedModel> found;
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    const fs::path& path = at->path();
    if (path.extension() != ".partial") continue;
    const auto record = PullRecord::load(path);
    if (!record) continue;
    found.push_back({path.stem().string(), record->repository, record->bytes_there(path), record->total});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return found;
}

std::optional<CatalogueModel> Catalogue::find(std::string_view name) const {
  auto all = models();
  if (!all) return {};
  std::optional<CatalogueModel> of_repository;
  size_t from_there = 0;
  for (CatalogueModel& model : *all) {
    if (model.name == name) return std::move(model);
    if (model.source && model.source->repository == name) ++from_there, of_repository = std::move(model);
  }
  return from_there == 1 ? of_repository : std::nullopt;
}

Result<void> Catalogue::remove(const std::string& name) const {
  QUERN_TRY(check_name(name));
  std::vector<fs::path> paths;
  std::error_code ignored;
  QUERN_ASSIGN(const auto all, models());
  for (const CatalogueModel& model : all) {
    if (model.name != name) continue;
    if (fs::is_directory(model.path, ignored)) {
      paths.push_back(model.path);
      continue;
    }
    for (fs::directory_iterator at(folder_, ignored), end; !ignored && at != end; at.increment(ignored))  // with its other parts
      if (at->path().extension() == ".gguf" && gguf_name(at->path()) == name) paths.push_back(at->path());
  }
  if (const fs::path partial = partial_folder(name); PullRecord::load(partial)) {
    const UniqueFd lock(::open(partial.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      return fail(Errc::busy, "{}: is being pulled by another process", name);
    paths.push_back(partial);
  }
  if (paths.empty()) return fail(Errc::not_found, "{}: no such model in {}", name, folder_.string());
  for (const fs::path& path : paths) {
    fs::path going = folder_ / ("." + path.filename().string() + ".removed");  // out of sight at once, whatever happens next
    std::error_code error;
    fs::remove_all(going, error);
    fs::rename(path, going, error);
    if (!error) fs::remove_all(going, error);
    if (error) return fail(Errc::io, "{}: cannot remove: {}", path.string(), error.message());
  }
  return {};
}

}  // namespace quern
