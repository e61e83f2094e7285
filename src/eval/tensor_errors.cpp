#include "eval/tensor_errors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

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

// Row sums, added in the order of the rows whatever the threads.
Squares squares(const Weight& source, const Weight& result, ThreadPool& pool) {
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
  std::unordered_map<std::string, const Weight*> before;
  for (const NamedMatrix& matrix : named_matrices(source)) before[matrix.name] = matrix.weight;

  std::unordered_map<std::string, size_t> places;
  std::vector<Squares> sums;
  Squares total;
  int64_t done = 0;
  const auto all = static_cast<double>(matrix_totals(result).weights);
  for (const auto& [name, weight] : named_matrices(result)) {
    const auto found = before.find(name);
    if (found == before.end() || found->second->rows() != weight->rows() || found->second->cols() != weight->cols()) {
      ++errors.not_compared;
      continue;
    }
    const auto [place, is_new] = places.try_emplace(any_expert_name(name), errors.tensors.size());
    if (is_new) {
      errors.tensors.push_back({.name = place->first, .source = found->second->format(), .result = weight->format()});
      sums.emplace_back();
    }
    const Squares own = squares(*found->second, *weight, pool);
    before.erase(found);
    sums[place->second] += own;
    total += own;
    TensorError& error = errors.tensors[place->second];
    ++error.matrices, error.weights += weight->rows() * weight->cols(), error.bytes += static_cast<int64_t>(weight->bytes());
    error.worst_matrix = std::max(error.worst_matrix, own.relative());
    done += weight->rows() * weight->cols();
    if (on_progress) on_progress(static_cast<double>(done), all);
  }
  errors.not_compared += static_cast<int64_t>(before.size());
  errors.relative_rms = total.relative();
  for (size_t i = 0; i < sums.size(); ++i) errors.tensors[i].relative_rms = sums[i].relative();
  return errors;
}

}  // namespace quern
