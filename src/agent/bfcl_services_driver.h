#pragma once

#include <string_view>

namespace quern {

// src/agent/bfcl_services.py, as it was when quern was built.
std::string_view bfcl_services_driver();

}  // namespace quern
