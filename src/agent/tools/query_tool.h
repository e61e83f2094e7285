// query_data: SQL over one CSV or JSON file of the root folder, read-only and bounded.
#pragma once

#include <memory>

#include "agent/tools/root_folder.h"
#include "agent/tools/tool.h"

namespace quern {

Tool query_data_tool(std::shared_ptr<RootFolder> root);

}  // namespace quern
