// Embeddings of texts: the mean of the final hidden states over their tokens, made by a model's scheduler.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "server/http/exchange.h"
#include "server/models.h"

namespace quern {

struct Embeddings {
  std::vector<std::vector<float>> vectors;  // [texts][hidden]
  int64_t tokens = 0;
  double prefill_s = 0;
};

// text: special tokens in it are those. Errors name the text, "input[3]: …", where there are several: empty, longer than the context, tokens
// that the model does not have; busy; denied when `response`'s client has gone.
Result<Embeddings> embed_texts(const std::shared_ptr<ServedModel>& model,
                               const std::vector<std::variant<std::string, std::vector<int32_t>>>& texts, const std::string& client,
                               ServerResponse& response);

}  // namespace quern
