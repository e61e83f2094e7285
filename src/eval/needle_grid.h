// What became of needles, length by depth: as a table with shades, as JSON, and as a heat map in one SVG document that needs nothing from
// elsewhere and is readable on a light and on a dark page. The same grid gives the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/needle.h"

namespace quern {

struct NeedleCell {
  int64_t trials = 0, found = 0;
  int64_t tokens = 0;  // of all trials' prompts

  double share() const { return trials > 0 ? static_cast<double>(found) / static_cast<double>(trials) : 0; }
};

struct NeedleGrid {
  NeedleKind kind = NeedleKind::prose;
  std::vector<int64_t> lengths;   // ascending
  std::vector<double> depths;     // 0 to 1, ascending
  std::vector<NeedleCell> cells;  // [depth][length]

  NeedleGrid(NeedleKind which, std::vector<int64_t> of_lengths, std::vector<double> of_depths);
  NeedleCell& at(size_t depth, size_t length) { return cells[depth * lengths.size() + length]; }
  const NeedleCell& at(size_t depth, size_t length) const { return cells[depth * lengths.size() + length]; }
  NeedleCell all_depths(size_t length) const;
};

// A row a depth, a column a length, and a row over all depths.
std::string needle_text(const NeedleGrid& grid);
// {"kind", "lengths", "depths", "cells": [{"length", "depth", "trials", "found", "tokens"}], "trials", "found"}; tokens: the mean.
Json needle_json(const NeedleGrid& grid);
std::string needle_svg(std::string_view title, const NeedleGrid& grid);

// Powers of two from 1,024 (tools: 2,048, since the tools' definitions alone take about 1,000) up to `longest`, and that; it alone where
// it is shorter.
std::vector<int64_t> needle_lengths(NeedleKind kind, int64_t longest);

}  // namespace quern
