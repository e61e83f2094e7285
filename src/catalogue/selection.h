// Which files of a repository a pull takes.
#pragma once

#include <string>
#include <vector>

#include "catalogue/repository.h"

namespace quern {

struct Selection {
  std::vector<RepositoryFile> files;  // the small ones first: what is wrong with a model shows early
  std::string name;                   // the catalogue's, where nobody chooses another: the repository's, or the GGUF file's
  uint64_t bytes() const;
};

// Without a FILE in the reference: the safetensors files of the top folder and the texts that go with them (config, tokenizer, templates); in a
// repository without safetensors the one GGUF file with all its parts. With one: the GGUF file of that name, or the only one whose name has that
// in it ("Q4_K_M", whatever its case). include, where not empty, says instead which files; exclude takes some away; * in a pattern stands for
// anything, slashes too, and a pattern means a whole path.
// invalid_argument: several GGUF files to choose from (the message lists them), nothing matches; not_found: no such FILE; unsupported: nothing
// there that is a model, a name that the pull itself uses; mismatch: a part of a split GGUF file is missing.
Result<Selection> select_files(const Repository& repository, const ModelReference& reference,
                               const std::vector<std::string>& include, const std::vector<std::string>& exclude);

}  // namespace quern
