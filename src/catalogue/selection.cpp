#include "catalogue/selection.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "catalogue/catalogue.h"
#include "catalogue/pull_record.h"
#include "convert/recipe.h"
#include "formats/gguf.h"

namespace quern {
namespace {

using Files = std::vector<RepositoryFile>;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// What the parts of one split model have in common; of another GGUF file its path without the ending.
std::string gguf_stem(const std::string& path) {
  constexpr size_t kEnding = 5, kPart = std::string_view("-00001-of-00003").size();
  return path.substr(0, path.size() - kEnding - (gguf_part(file_name(path)) > 0 ? kPart : 0));
}

std::map<std::string, Files> gguf_models(const Files& files) {
  std::map<std::string, Files> models;
  for (const RepositoryFile& file : files)
    if (file.path.ends_with(".gguf")) models[gguf_stem(file.path)].push_back(file);
  return models;
}

Result<void> check_parts(const std::string& stem, const Files& parts) {
  const std::string first = file_name(parts.front().path);
  if (gguf_part(first) == 0) return {};
  const size_t expected = std::stoul(first.substr(first.size() - 10, 5));  // "-of-00003.gguf"; gguf_part has looked at it
  if (parts.size() != expected) return fail(Errc::mismatch, "{}: {} of {} parts are there", stem, parts.size(), expected);
  return {};
}

std::string size_text(uint64_t bytes) { return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30)); }

uint64_t sum(const Files& files) {
  return std::accumulate(files.begin(), files.end(), uint64_t{0},
                         [](uint64_t all, const RepositoryFile& f) { return all + f.size; });
}

tl::unexpected<Error> choose_one(const std::string& repository, const std::map<std::string, Files>& models) {
  std::string list;
  for (const auto& [stem, files] : models) {
    if (list.size() > 1500) {
      list += ", …";
      break;
    }
    list += fmt::format("{}{} ({})", list.empty() ? "" : ", ", stem, size_text(sum(files)));
  }
  return fail(Errc::invalid_argument, "{}: {} models in GGUF; choose one, {}:FILE: {}", repository, models.size(), repository,
              list);
}

Result<Selection> gguf_selection(const Repository& repository, const std::string& wanted) {
  const auto all = gguf_models(repository.files);
  std::map<std::string, Files> fitting;
  for (const auto& [stem, files] : all) {
    const bool exact =
        wanted == stem || std::any_of(files.begin(), files.end(), [&](const RepositoryFile& f) { return f.path == wanted; });
    if (exact) {
      fitting = {{stem, files}};
      break;
    }
    if (lower(stem).find(lower(wanted)) != std::string::npos) fitting.emplace(stem, files);
  }
  if (fitting.empty()) return fail(Errc::not_found, "{}: no GGUF file {} there; {} others", repository.id, wanted, all.size());
  if (fitting.size() > 1) return choose_one(repository.id, fitting);
  const auto& [stem, files] = *fitting.begin();
  QUERN_TRY(check_parts(stem, files));
  return Selection{files, file_name(stem)};
}

// A checkpoint as Hugging Face and MLX write it. Where model*.safetensors is there, other weights beside it are the same in another form.
Files checkpoint_files(const Files& all) {
  const auto top = [](const RepositoryFile& f) { return f.path.find('/') == std::string::npos && !f.path.starts_with('.'); };
  const auto is_model = [](const std::string& path) { return path.starts_with("model") && path.ends_with(".safetensors"); };
  const bool usual = std::any_of(all.begin(), all.end(), [&](const RepositoryFile& f) { return top(f) && is_model(f.path); });
  Files files;
  for (const RepositoryFile& file : all) {
    if (!top(file)) continue;
    const bool weights = file.path.ends_with(".safetensors") && (!usual || is_model(file.path) || file.path == "mtp.safetensors");
    const bool text = file.path.ends_with(".json") || file.path.ends_with(".txt") || file.path.ends_with(".jinja");
    if (weights || text) files.push_back(file);
  }
  const bool any =
      std::any_of(files.begin(), files.end(), [](const RepositoryFile& f) { return f.path.ends_with(".safetensors"); });
  return any ? files : Files();
}

bool any_matches(const std::vector<std::string>& patterns, const std::string& path) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) { return glob_matches(pattern, path); });
}

Result<Selection> default_selection(const Repository& repository, const ModelReference& reference) {
  if (!reference.file.empty()) return gguf_selection(repository, reference.file);
  const std::string name = file_name(repository.id);
  if (Files files = checkpoint_files(repository.files); !files.empty()) return Selection{std::move(files), name};
  const auto models = gguf_models(repository.files);
  if (models.size() > 1) return choose_one(repository.id, models);
  if (models.empty())
    return fail(Errc::unsupported, "{}: no safetensors and no GGUF files among its {} files", repository.id,
                repository.files.size());
  return gguf_selection(repository, models.begin()->first);
}

}  // namespace

uint64_t Selection::bytes() const { return sum(files); }

Result<Selection> select_files(const Repository& repository, const ModelReference& reference,
                               const std::vector<std::string>& include, const std::vector<std::string>& exclude) {
  Selection selection;
  if (include.empty()) {
    QUERN_ASSIGN(selection, default_selection(repository, reference));
  } else {
    selection.name = file_name(repository.id);
    for (const RepositoryFile& file : repository.files)
      if (any_matches(include, file.path)) selection.files.push_back(file);
  }
  std::erase_if(selection.files, [&](const RepositoryFile& file) { return any_matches(exclude, file.path); });
  if (selection.files.empty())
    return fail(Errc::invalid_argument, "{}: none of its {} files is left to pull", repository.id, repository.files.size());
  for (const RepositoryFile& file : selection.files)
    if (file.path.ends_with(".part") || file.path.ends_with(".part.json") || file.path == PullRecord::kFile ||
        file.path == ModelSource::kFile)
      return fail(Errc::unsupported, "{}: a file named {}, which a pull uses itself (--exclude)", repository.id, file.path);
  std::stable_sort(selection.files.begin(), selection.files.end(), [](const auto& a, const auto& b) {
    constexpr uint64_t kSmall = 32 << 20;
    return (a.size < kSmall) > (b.size < kSmall);
  });
  return selection;
}

}  // namespace quern
