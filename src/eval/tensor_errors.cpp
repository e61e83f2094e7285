#include "eval/tensor_errors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/check.h"
#include "convert/delta_rows.h"
#include "formats/tensor_names.h"

namespace quern {
namespace {

constexpr int64_t kGrain = int64_t{1} << 16;  // weights a task

struct Squares {
  double difference = 0, size = 0;

  Squares& operator+=(const Squares& other) {
    difference += other.difference, size += other.size;
    return *this;
  }
  // Of weights that are no numbers infinity, which is larger than any error and which no maximum passes over as it does NaN.
  double relative() const {
    if (!std::isfinite(difference) || !std::isfinite(size)) return std::numeric_limits<double>::infinity();
    return size > 0 ? std::sqrt(difference / size) : difference > 0 ? 1 : 0;
  }
};

// A matrix as it is published, whose rows a container may have elsewhere, in parts of several matrices.
class PublishedMatrix {
 public:
  PublishedMatrix(std::string name, std::vector<QuantMatrix> parts) : name_(std::move(name)), parts_(std::move(parts)) {
    for (const QuantMatrix& part : parts_) {
      starts_.push_back(rows_);
      rows_ += part.rows(), bytes_ += static_cast<int64_t>(part.bytes());
    }
  }

  const std::string& name() const { return name_; }
  QuantFormat format() const { return parts_.front().format(); }  // parts of several formats: of the first
  int64_t rows() const { return rows_; }
  int64_t cols() const { return parts_.front().cols(); }
  int64_t weights() const { return rows() * cols(); }
  int64_t bytes() const { return bytes_; }
  void decode_row(int64_t r, float* out) const {
    const auto part = static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), r) - starts_.begin() - 1);
    parts_[part].decode_row(r - starts_[part], out);
  }

 private:
  std::string name_;
  std::vector<QuantMatrix> parts_;  // one above the other
  std::vector<int64_t> starts_;     // the first row of each
  int64_t rows_ = 0, bytes_ = 0;
};

std::vector<PublishedMatrix> published_matrices(const Model& model) {
  std::vector<PublishedMatrix> matrices;
  for (const ExpectedTensor& tensor : output_list(model.config, model.mtp != nullptr, ModelContainer::folder)) {
    if (tensor.vector) continue;
    auto rows = source_rows(tensor, model.config, *model.source);
    QUERN_CHECK(rows, tensor.name);  // loading has bound the same
    matrices.emplace_back(tensor.name, std::move(*rows));
  }
  return matrices;
}

// Row sums, added in the order of the rows whatever the threads.
Squares squares(const PublishedMatrix& source, const PublishedMatrix& result, ThreadPool& pool) {
  std::vector<Squares> rows(static_cast<size_t>(source.rows()));
  pool.parallel_for(source.rows(), std::max<int64_t>(1, kGrain / source.cols()), [&](int64_t begin, int64_t end) {
    std::vector<float> a(static_cast<size_t>(source.cols())), b(a.size());
    for (int64_t r = begin; r < end; ++r) {
      source.decode_row(r, a.data()), result.decode_row(r, b.data());
      Squares& sum = rows[static_cast<size_t>(r)];
      for (size_t i = 0; i < a.size(); ++i) {
        const double x = static_cast<double>(a[i]), difference = static_cast<double>(b[i]) - x;
        sum.difference += difference * difference, sum.size += x * x;
      }
    }
  });
  Squares total;
  for (const Squares& row : rows) total += row;
  return total;
}

}  // namespace

MatrixTotals matrix_totals(const Model& model) {
  MatrixTotals totals;
  for (const NamedMatrix& matrix : named_matrices(model)) {
    totals.weights += matrix.weight->rows() * matrix.weight->cols();
    totals.bytes += static_cast<int64_t>(matrix.weight->bytes());
  }
  return totals;
}

TensorErrors tensor_errors(const Model& source, const Model& result, ThreadPool& pool,
                           const std::function<void(double done, double total)>& on_progress) {
  TensorErrors errors;
  const std::vector<PublishedMatrix> of_source = published_matrices(source), of_result = published_matrices(result);
  std::unordered_map<std::string, const PublishedMatrix*> before;
  for (const PublishedMatrix& matrix : of_source) before[matrix.name()] = &matrix;

  std::unordered_map<std::string, size_t> places;
  std::vector<Squares> sums;
  Squares total;
  int64_t done = 0;
  const auto all = static_cast<double>(matrix_totals(result).weights);
  for (const PublishedMatrix& matrix : of_result) {
    done += matrix.weights();
    const auto found = before.find(matrix.name());
    if (found == before.end()) {
      ++errors.not_compared;
      continue;
    }
    if (found->second->rows() != matrix.rows() || found->second->cols() != matrix.cols()) {
      ++errors.not_compared;
      before.erase(found);
      continue;
    }
    const auto [place, is_new] = places.try_emplace(any_expert_name(matrix.name()), errors.tensors.size());
    if (is_new) {
      errors.tensors.push_back({.name = place->first, .source = found->second->format(), .result = matrix.format()});
      sums.emplace_back();
    }
    const Squares own = squares(*found->second, matrix, pool);
    before.erase(found);
    sums[place->second] += own;
    total += own;
    TensorError& error = errors.tensors[place->second];
    ++error.matrices, error.weights += matrix.weights(), error.bytes += matrix.bytes();
    error.worst_matrix = std::max(error.worst_matrix, own.relative());
    if (on_progress) on_progress(static_cast<double>(done), all);
  }
  errors.not_compared += static_cast<int64_t>(before.size());
  errors.relative_rms = total.relative();
  for (size_t i = 0; i < sums.size(); ++i) errors.tensors[i].relative_rms = sums[i].relative();
  return errors;
}

}  // namespace quern
