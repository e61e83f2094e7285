// Results too long for a prompt. The model is shown how they begin and how to read on: with the tool read_result, by lines. Whole they lie
// in a ResultStore, and in the run's journal.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "agent/tools/tool.h"

namespace quern {

// The whole texts of a run's results, by the number of their call.
class ResultStore {
 public:
  void put(int64_t call, std::string text) { texts_.insert_or_assign(call, std::move(text)); }
  const std::string* find(int64_t call) const;  // nullptr: none
  const std::map<int64_t, std::string>& all() const { return texts_; }

 private:
  std::map<int64_t, std::string> texts_;
};

inline constexpr std::string_view kReadResult = "read_result";

// read_result {id, from_line, lines}: at most max_bytes of one result, and how it goes on. `store` must outlive the tool.
Tool read_result_tool(const ResultStore& store, size_t max_bytes);

// Of a text longer than max_bytes: its first lines, a quarter of max_bytes at most, and a last line that says how long it is and how to read on.
std::string beginning_of(std::string_view text, int64_t call, size_t max_bytes);

// "312 lines, 84 KiB"
std::string extent(std::string_view text);

}  // namespace quern
