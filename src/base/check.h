// QUERN_CHECK: an invariant of quern's own. Prints where and what, then aborts; never used on data from outside.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace quern {

[[noreturn]] void check_failed(std::string_view condition, std::string_view file, int line, std::string_view detail);

template <class... Args>
std::string check_detail(const Args&... args) {
  std::string detail;
  ((detail += fmt::format(" {}", args)), ...);
  return detail;
}

}  // namespace quern

#define QUERN_CHECK(condition, ...)                                                                              \
  do {                                                                                                           \
    if (!(condition)) ::quern::check_failed(#condition, __FILE__, __LINE__, ::quern::check_detail(__VA_ARGS__)); \
  } while (0)
