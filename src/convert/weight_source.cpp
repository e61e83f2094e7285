#include "convert/weight_source.h"

#include "convert/delta_rows.h"

namespace quern {

void SourceMatrix::decode_row(int64_t r, float* out) const {
  if (const QuantMatrix* matrix = stored()) return matrix->decode_row(r, out);
  std::get<ProceduralTensor>(from_).decode(static_cast<uint64_t>(r * cols_), {out, static_cast<size_t>(cols_)});
}

Result<std::vector<SourceMatrix>> ModelWeights::rows(const ExpectedTensor& matrix) const {
  QUERN_ASSIGN(const std::vector<QuantMatrix> rows, source_rows(matrix, model_.config, *model_.source));
  return std::vector<SourceMatrix>(rows.begin(), rows.end());
}

Result<std::vector<float>> ModelWeights::values(const ExpectedTensor& vector, VectorRole as) const {
  return model_.source->vector(vector.name, vector.shape, as);
}

Result<std::vector<SourceMatrix>> ProceduralWeights::rows(const ExpectedTensor& matrix) const {
  const ProceduralTensor tensor(matrix.name, matrix.shape.back());
  return std::vector{SourceMatrix(tensor, matrix.shape[0], matrix.shape[1])};
}

Result<std::vector<float>> ProceduralWeights::values(const ExpectedTensor& vector, VectorRole as) const {
  int64_t count = 1;
  for (const int64_t extent : vector.shape) count *= extent;
  std::vector<float> values(static_cast<size_t>(count));
  ProceduralTensor(vector.name, vector.shape.back()).decode(0, values);
  apply_role(as, values);
  return values;
}

}  // namespace quern
