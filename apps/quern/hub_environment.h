// What the environment says about the hub, by the variables that the hub's own tools read.
#pragma once

#include <filesystem>

#include "catalogue/repository.h"

namespace quern {

// endpoint: the command's, before HF_ENDPOINT; empty: not given. denied: HF_HUB_OFFLINE.
Result<HubAccess> hub_from_environment(const std::string& endpoint);

// Where those tools keep what they have downloaded: HF_HUB_CACHE, or what HF_HOME, XDG_CACHE_HOME or HOME make of it. Empty: nothing says.
std::filesystem::path hub_cache_from_environment();

}  // namespace quern
