// The quality report of a model that was stored otherwise: what its weights, its predictions and its tool calls lost against the source.
// One value, shown as text, as JSON, and as a page with charts that needs nothing from elsewhere.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "eval/evaluate.h"
#include "eval/tensor_errors.h"
#include "eval/token_comparison.h"

namespace quern {

struct QualityReport {
  struct Side {
    std::string path;
    MatrixTotals matrices;
    std::string kv;  // format of the key-value cache
  };
  struct Text {
    std::string source;  // Sample::source
    int64_t documents = 0, tokens = 0;
    TokenComparison comparison;
  };
  struct Tools {
    std::string episodes;  // what is played, for people: "8 chains of 8 calls, held-out, seed 1"
    ToolScores source, result;
  };

  // What computed the predictions and the tool calls: decoded weights, or kernels that round activations to int8 as well.
  struct Machine {
    std::string ops, isa;
    bool int8_activations = false;

    std::string text() const;  // a line
  };

  Side source, result;
  Machine machine;
  TensorErrors weights;
  Text text;
  std::optional<Tools> tools;  // absent: the model has no tool calls, or no episodes were asked for
};

std::string quality_text(const QualityReport& report);
// Errors of weights that are not finite are null.
Json quality_json(const QualityReport& report);
// A whole HTML document, light or dark as its reader's system is. The same report gives the same bytes.
std::string quality_page(const QualityReport& report);

}  // namespace quern
