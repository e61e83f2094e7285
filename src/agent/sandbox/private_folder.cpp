#include "agent/sandbox/private_folder.h"

#include <stdlib.h>

#include <cerrno>
#include <cstring>

namespace quern {

Result<PrivateFolder> PrivateFolder::create() {
  std::string name = "/tmp/quern-sandbox-XXXXXX";
  if (!::mkdtemp(name.data())) return fail(Errc::io, "sandbox: /tmp: cannot make a folder there: {}", std::strerror(errno));
  PrivateFolder folder;
  folder.path_ = name;
  return folder;
}

PrivateFolder::~PrivateFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace quern
