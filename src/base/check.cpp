#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace quern {

void check_failed(std::string_view condition, std::string_view file, int line, std::string_view detail) {
  fmt::print(stderr, "quern: internal error: {}:{}: {} does not hold:{}\n", file, line, condition, detail);
  std::abort();
}

}  // namespace quern
