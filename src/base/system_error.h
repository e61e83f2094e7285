// SystemError: the machine failed (memory, disk, mapping). Caught where a request ends: main, and the tool runner.
#pragma once

#include <stdexcept>
#include <string>

namespace quern {

class SystemError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace quern
