#include "catalogue/pull_record.h"

#include "base/file.h"
#include "base/json.h"
#include "catalogue/part_file.h"

namespace quern {

namespace fs = std::filesystem;

Result<void> PullRecord::save(const fs::path& partial) const {
  Json json = Json::object();
  json["repository"] = repository;
  json["total"] = total;
  Json list = Json::object();
  for (const auto& [path, identity] : finished) list[path] = identity;
  json["finished"] = std::move(list);
  return write_file(partial / kFile, json.dump_indented() + "\n");
}

std::optional<PullRecord> PullRecord::load(const fs::path& partial) {
  const auto text = read_file(partial / kFile, size_t{16} << 20);
  if (!text) return {};
  const auto json = Json::parse(*text, kFile);
  const Json* repository = json ? json->find("repository") : nullptr;
  const Json* total = json ? json->find("total") : nullptr;
  const Json* files = json ? json->find("finished") : nullptr;
  if (!repository || !repository->is_string() || !total || !total->is_number() || !files || !files->is_object()) return {};
  PullRecord record;
  record.repository = repository->as_string();
  record.total = static_cast<uint64_t>(std::max<int64_t>(0, total->to_int64().value_or(0)));
  for (const auto& [path, identity] : files->as_object())
    if (identity.is_string()) record.finished[path] = identity.as_string();
  return record;
}

uint64_t PullRecord::bytes_there(const fs::path& partial) const {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& [path, identity] : finished) {
    const auto size = fs::file_size(partial / path, error);
    if (!error) bytes += size;
  }
  for (fs::recursive_directory_iterator at(partial, error), end; !error && at != end; at.increment(error))
    if (at->path().string().ends_with(PartFile::kRecordEnding)) bytes += PartFile::recorded_bytes(at->path());
  return bytes;
}

}  // namespace quern
