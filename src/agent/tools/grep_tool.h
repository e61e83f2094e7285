// grep_files: lines that match, in the whole tree or a part of it.
#pragma once

#include <memory>

#include "agent/tools/root_folder.h"
#include "agent/tools/tool.h"

namespace quern {

Tool grep_files_tool(std::shared_ptr<RootFolder> root);

}  // namespace quern
