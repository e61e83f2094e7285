// Where the weights of an output come from: a model's files, or nowhere (procedural.h). Recipes, layouts, names and packing see no
// difference, which is why `synth --format F` has the bytes of `synth` and then `quantize --format F`.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "convert/procedural.h"
#include "model/model.h"

namespace quern {

// Rows that are to be encoded. May be shared between threads.
class SourceMatrix {
 public:
  SourceMatrix(const QuantMatrix& stored) : rows_(stored.rows()), cols_(stored.cols()), from_(stored) {}
  SourceMatrix(const ProceduralTensor& tensor, int64_t rows, int64_t cols) : rows_(rows), cols_(cols), from_(tensor) {}

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  void decode_row(int64_t r, float* out) const;  // out [cols]
  // What its bytes can be copied from; nullptr: it lies nowhere.
  const QuantMatrix* stored() const { return std::get_if<QuantMatrix>(&from_); }

 private:
  int64_t rows_, cols_;
  std::variant<QuantMatrix, ProceduralTensor> from_;
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // Rows of a matrix of output_list (delta_rows.h), to put one above the other.
  virtual Result<std::vector<SourceMatrix>> rows(const ExpectedTensor& matrix) const = 0;
  virtual Result<std::vector<float>> values(const ExpectedTensor& vector, VectorRole as) const = 0;
  // Tensors that nobody asked for.
  virtual std::vector<std::string> unused() const = 0;
};

// The model must outlive the source and its matrices.
class ModelWeights : public WeightSource {
 public:
  explicit ModelWeights(const Model& model) : model_(model) {}
  // Errors of both: those of TensorSource.
  Result<std::vector<SourceMatrix>> rows(const ExpectedTensor& matrix) const override;
  Result<std::vector<float>> values(const ExpectedTensor& vector, VectorRole as) const override;
  std::vector<std::string> unused() const override { return model_.source->unused(); }

 private:
  const Model& model_;
};

// Of a published bf16 folder that nobody has written.
class ProceduralWeights : public WeightSource {
 public:
  Result<std::vector<SourceMatrix>> rows(const ExpectedTensor& matrix) const override;
  Result<std::vector<float>> values(const ExpectedTensor& vector, VectorRole as) const override;
  std::vector<std::string> unused() const override { return {}; }
};

}  // namespace quern
