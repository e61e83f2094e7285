// Arbitrary bytes as a hub's list of files: an error, or files whose paths stay inside a folder, and a selection of them.
#include <filesystem>

#include "catalogue/selection.h"
#include "fuzz.h"

using namespace quern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  if (text.size() > 20'000) return 0;
  fuzz::succeeded(parse_commit(text, "org/model"));
  next_link(text);
  Repository listed{.id = "org/model", .revision = "main", .commit = std::string(40, 'a'), .files = {}};
  if (!fuzz::succeeded(parse_tree(text, listed))) return 0;
  const Repository* repository = &listed;
  const std::filesystem::path root = "/models/model.partial";
  for (const RepositoryFile& file : repository->files) {
    const auto path = (root / file.path).lexically_normal();
    QUERN_CHECK(path.string().starts_with(root.string() + "/"), file.path);
    QUERN_CHECK(file_path(*repository, file).find_first_of(" \r\n?#") == std::string::npos, file.path);
  }
  for (const char* wanted : {"", "q4", "a.gguf"}) {
    const auto selection = select_files(*repository, {"org/model", wanted}, {}, {"*.bin"});
    if (!fuzz::succeeded(selection)) continue;
    QUERN_CHECK(!selection->files.empty() && selection->files.size() <= repository->files.size());
  }
  return 0;
}
