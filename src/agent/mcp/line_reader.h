// Cuts a stream of bytes into lines of bounded length: JSON-RPC over standard input and output is one message a line.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace quern {

class LineReader {
 public:
  explicit LineReader(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Calls on_line for each line that is complete, without its line break. A line of more than max_bytes is dropped as it comes:
  // on_dropped is called once, at its end.
  void feed(std::string_view bytes, const std::function<void(std::string_view)>& on_line, const std::function<void()>& on_dropped) {
    while (!bytes.empty()) {
      const size_t end = std::min(bytes.find('\n'), bytes.size());
      if (dropping_ || line_.size() + end > max_bytes_) {
        dropping_ = true;
        std::string().swap(line_);
      } else {
        line_ += bytes.substr(0, end);
      }
      if (end == bytes.size()) return;
      bytes.remove_prefix(end + 1);
      if (std::exchange(dropping_, false)) {
        on_dropped();
        continue;
      }
      std::string_view line = line_;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty()) on_line(line);
      if (line_.capacity() > size_t{1} << 20) std::string().swap(line_);
      line_.clear();
    }
  }

 private:
  size_t max_bytes_;
  std::string line_;
  bool dropping_ = false;
};

}  // namespace quern
