// What the fuzz targets share. A target aborts when a promise is broken; sanitizers find the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/check.h"
#include "base/result.h"

namespace quern::fuzz {

inline std::string_view text_of(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

// Every failure is one short line.
template <class T>
bool succeeded(const Result<T>& result) {
  if (result) return true;
  const std::string& message = result.error().message;
  QUERN_CHECK(!message.empty() && message.size() < 4000 && message.find('\n') == std::string::npos, message);
  return false;
}

}  // namespace quern::fuzz
