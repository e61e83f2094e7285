#include "formats/checkpoint.h"

#include <algorithm>
#include <map>

#include "base/utf8.h"

namespace quern {
namespace {

constexpr std::string_view kIndex = "model.safetensors.index.json", kSingle = "model.safetensors";

// weight_map of the index, file -> tensor names. A file name must be a plain name: an index cannot reach outside its folder.
Result<std::map<std::string, std::vector<std::string>>> read_index(const std::filesystem::path& path) {
  QUERN_ASSIGN(const std::string text, read_file(path, size_t{256} << 20));
  QUERN_ASSIGN(const Json index, Json::parse(text, path.string(), {.max_depth = 8}));
  const Json* map = index.find("weight_map");
  if (!map || !map->is_object()) return fail(Errc::malformed, "{}: no weight_map object", path.string());
  std::map<std::string, std::vector<std::string>> files;
  for (const auto& [tensor, file] : map->as_object()) {
    if (!file.is_string()) return fail(Errc::malformed, "{}: {}: file name is {}", path.string(), tensor, file.kind_name());
    const std::string& name = file.as_string();
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos || name.find('\0') != std::string::npos)
      return fail(Errc::malformed, "{}: {}: \"{}\" is not a file name", path.string(), tensor, replace_invalid_utf8(name));
    files[name].push_back(tensor);
  }
  return files;
}

}  // namespace

Result<std::optional<std::filesystem::path>> gguf_of_model(const std::filesystem::path& model) {
  std::error_code error;
  if (!std::filesystem::is_directory(model, error)) {
    if (!std::filesystem::exists(model, error)) return fail(Errc::not_found, "{}: no such file or folder", model.string());
    return model;
  }
  if (std::filesystem::exists(model / kIndex, error) || std::filesystem::exists(model / kSingle, error)) return std::nullopt;
  std::vector<std::filesystem::path> found;
  for (std::filesystem::directory_iterator at(model, error), end; !error && at != end; at.increment(error))
    if (at->path().extension() == ".gguf" && gguf_part(at->path().filename().string()) <= 1) found.push_back(at->path());
  if (found.size() > 1) return fail(Errc::mismatch, "{}: {} models in GGUF; name one of the files", model.string(), found.size());
  if (found.empty()) return std::nullopt;
  return found.front();
}

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& model) {
  Checkpoint checkpoint;
  checkpoint.path_ = model;
  QUERN_ASSIGN(const auto gguf, gguf_of_model(model));
  if (gguf) {
    QUERN_ASSIGN(checkpoint.gguf_, GgufFile::open(*gguf));
    for (const StoredTensor& tensor : checkpoint.gguf_->tensors()) checkpoint.tensors_.push_back(&tensor);
  } else {
    QUERN_TRY(checkpoint.open_safetensors());
    QUERN_TRY(checkpoint.add_mtp());
  }
  for (const StoredTensor* tensor : checkpoint.tensors_) checkpoint.by_name_[tensor->name] = tensor;
  return checkpoint;
}

Result<void> Checkpoint::open_safetensors() {
  std::error_code ignored;
  const auto index = path_ / kIndex, single = path_ / kSingle;
  if (std::filesystem::exists(index, ignored)) {
    QUERN_ASSIGN(const auto files, read_index(index));
    for (const auto& [name, wanted] : files) {
      QUERN_ASSIGN(SafetensorsFile file, SafetensorsFile::open(path_ / name));
      std::unordered_map<std::string_view, const StoredTensor*> held;
      for (const StoredTensor& tensor : file.tensors()) held[tensor.name] = &tensor;
      for (const std::string& tensor : wanted) {
        const auto at = held.find(tensor);
        if (at == held.end())
          return fail(Errc::mismatch, "{}: the index places {} there, but the file has no such tensor", (path_ / name).string(),
                      tensor);
        tensors_.push_back(at->second);
      }
      files_.push_back(std::move(file));  // moving the file keeps its vector's elements where they are
    }
    return {};
  }
  if (!std::filesystem::exists(single, ignored))
    return fail(Errc::not_found, "{}: no model.safetensors, no model.safetensors.index.json and no .gguf", path_.string());
  QUERN_ASSIGN(SafetensorsFile file, SafetensorsFile::open(single));
  add(std::move(file));
  return {};
}

void Checkpoint::add(SafetensorsFile file) {
  files_.push_back(std::move(file));  // moving the file keeps its vector's elements where they are
  for (const StoredTensor& tensor : files_.back().tensors()) tensors_.push_back(&tensor);
}

Result<void> Checkpoint::add_mtp() {
  std::error_code ignored;
  const auto path = path_ / "mtp.safetensors";
  const auto is_mtp = [](const StoredTensor& tensor) { return tensor.name.starts_with("mtp."); };
  if (!std::filesystem::exists(path, ignored)) return {};
  if (std::any_of(tensors_.begin(), tensors_.end(), [&](const StoredTensor* tensor) { return is_mtp(*tensor); })) return {};
  QUERN_ASSIGN(SafetensorsFile file, SafetensorsFile::open(path));
  for (const StoredTensor& tensor : file.tensors())
    if (!is_mtp(tensor)) return fail(Errc::mismatch, "{}: {} is not of the MTP block", path.string(), tensor.name.substr(0, 200));
  add(std::move(file));
  return {};
}

const StoredTensor* Checkpoint::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second;
}

std::vector<std::filesystem::path> Checkpoint::files() const {
  std::vector<std::filesystem::path> paths;
  for (const SafetensorsFile& file : files_) paths.push_back(file.path());
  if (gguf_)
    for (const auto& part : gguf_->parts()) paths.push_back(part->path());
  return paths;
}

std::vector<std::span<const std::byte>> Checkpoint::mappings() const {
  std::vector<std::span<const std::byte>> mappings;
  for (const SafetensorsFile& file : files_) mappings.push_back(file.mapping());
  if (gguf_)
    for (const auto& part : gguf_->parts()) mappings.push_back(part->bytes());
  return mappings;
}

size_t Checkpoint::total_bytes() const {
  size_t total = 0;
  for (const StoredTensor* tensor : tensors_) total += tensor->bytes.size();
  return total;
}

}  // namespace quern
