// The pictures of the quality report: SVG elements to stand in a page, which gives them colours by the classes .first and .second (series),
// .axis and .grid. The same values give the same bytes.
#pragma once

#include <string>

#include "eval/tensor_errors.h"
#include "eval/token_comparison.h"

namespace quern {

// How often the KL divergence of a position was how large, in steps of half a power of ten: all positions, and the assistant's beside them.
std::string kl_histogram(const TokenComparison& comparison);

// A row for each kind of matrix, and in it a point for each layer at that matrix's relative error.
std::string tensor_error_chart(const TensorErrors& errors);

}  // namespace quern
