// InputStatistics: what a model's matrices are multiplied by, column by column: the mean of the squares of each input over the tokens of a
// text. An error in a weight costs in proportion to it, so that encoders spend their precision where it counts.
//
// The file is safetensors. Metadata: "kind" = "quern input statistics", "tokens" (of the text), "fingerprint" (of the model, hexadecimal).
// Tensors: for each matrix, under its published name, F32 [cols], zero where no token came; for the experts of each layer, as
// "….mlp.experts.tokens" F32 [experts], how many tokens each saw.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/model.h"
#include "tensor/tensor.h"

namespace quern {

class InputStatistics {
 public:
  // What fewer tokens say about an expert is more noise than knowledge: it gets the mean of its layer's experts, weighted by their tokens.
  static constexpr int64_t kFewTokens = 32;

  struct Inputs {
    int64_t tokens = 0;
    std::vector<float> mean_square;  // [cols]
  };

  InputStatistics() = default;
  // Of a model that nothing has been multiplied with yet.
  explicit InputStatistics(const Model& model);

  // Counts the rows of x in, as inputs of the matrix that is published as `name` (delta_rows.h), where a GGUF file may have it in parts.
  void add(const std::string& name, Tensor x);
  // What importance() answers for experts with few tokens, from all that was added so far.
  void update_layer_means();

  // All or nothing. Errors: io; out_of_range (a mean that is not finite, which load would refuse: the message has the matrix).
  Result<void> save(const std::filesystem::path& path) const;
  // Whether a file may be written there: it is absent, empty, or one of statistics. Errors: denied.
  static Result<void> check_target(const std::filesystem::path& path);
  // Errors: those of SafetensorsFile::open; malformed (no file of this kind; a tensor of another type or shape; a value that is not finite,
  // or negative; the message has the tensor).
  static Result<InputStatistics> load(const std::filesystem::path& path);

  // Whether they are of this model's matrices. Errors: mismatch (the first that is missing or has other columns), in one line.
  Result<void> check_model(const Model& model) const;

  // What an error in each column of this matrix costs; empty: all alike, because nothing is known about it.
  std::span<const float> importance(const std::string& name) const;

  size_t matrices() const { return inputs_.size(); }
  int64_t tokens() const { return tokens_; }
  void count_tokens(int64_t tokens) { tokens_ += tokens; }
  uint64_t fingerprint() const { return fingerprint_; }  // of the model that was calibrated
  uint64_t digest() const;                               // of the values: equal statistics have the same
  // How many experts importance() answers for with their layer's mean.
  int64_t experts_with_few_tokens() const;

 private:
  int64_t tokens_ = 0;
  uint64_t fingerprint_ = 0;
  std::string where_;                                    // the file, for messages
  std::vector<std::string> order_;                       // names as the model has them
  std::unordered_map<std::string, Inputs> inputs_;       // by published name
  std::unordered_map<std::string, Inputs> layer_means_;  // by name with * for the expert
};

}  // namespace quern
