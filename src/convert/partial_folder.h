// PartialFolder: a folder that appears under its name only when it is complete. Until then its files are in NAME.partial beside it, with a
// record (quantize.json) of what was asked for and which files are finished, so that the same request can go on after an interruption.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/file.h"
#include "base/json.h"

namespace quern {

enum class Replace { never, model_folders };

class PartialFolder {
 public:
  // Keeps the finished files of an earlier attempt at the same request, deletes what else there is of it. Only one process at a time.
  // Errors: denied (`out` is a file, or not empty and may not be replaced; NAME.partial is not quern's; another process has it), io.
  static Result<PartialFolder> open(const std::filesystem::path& out, const Json& request, Replace replace);

  const std::filesystem::path& path() const { return partial_; }
  // Whether an earlier attempt finished this file, and with that size.
  bool has(const std::string& file) const { return finished_.contains(file); }
  // Records a file that is complete and on disk.
  Result<void> finish(const std::string& file);
  // Everything is there: the folder gets its name, in place of a model folder that may be replaced.
  Result<void> publish();

 private:
  PartialFolder(std::filesystem::path out, std::filesystem::path partial, Json request, Replace replace)
      : out_(std::move(out)), partial_(std::move(partial)), request_(std::move(request)), replace_(replace) {}
  Result<void> lock();
  void read_record();
  Result<void> delete_others() const;
  Result<void> write_record() const;

  std::filesystem::path out_, partial_;
  Json request_;
  Replace replace_;
  UniqueFd lock_;
  std::map<std::string, uint64_t, std::less<>> finished_;  // sizes
};

}  // namespace quern
