// StopStrings: text is held back while it could still become a stop string; what stands before one is all that is given out.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quern {

class StopStrings {
 public:
  explicit StopStrings(const std::vector<std::string>& stops) : stops_(stops) {}  // which outlives it

  // Adds text; returns what may be given out now. stopped() says that a stop string was completed, stop() which.
  std::string push(std::string_view text) {
    held_ += text;
    size_t cut = std::string::npos;
    for (const std::string& stop : stops_)
      if (const size_t at = stop.empty() ? std::string::npos : held_.find(stop); at < cut) cut = at, stop_ = &stop;
    if (stopped()) return std::exchange(held_, {}).substr(0, cut);
    size_t keep = 0;
    for (const std::string& stop : stops_)
      for (size_t n = std::min(stop.size(), held_.size()); n > keep; --n)
        if (held_.ends_with(std::string_view(stop).substr(0, n))) keep = n;
    std::string out = held_.substr(0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
    return out;
  }
  std::string finish() { return std::exchange(held_, {}); }
  bool stopped() const { return stop_ != nullptr; }
  const std::string& stop() const { return *stop_; }

 private:
  const std::vector<std::string>& stops_;
  std::string held_;
  const std::string* stop_ = nullptr;
};

}  // namespace quern
