// What the tests of quantised formats share: the decode vectors of tests/data/quant, random weights, errors. Included by tests only.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "quant/quant_matrix.h"
#include "quant/strips.h"

namespace quern::quant_test {

inline std::vector<std::byte> bytes_of(std::string_view text) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

inline std::vector<std::byte> read_vector_file(const std::string& name) {
  return bytes_of(read_file(std::string(QUERN_REPO) + "/tests/data/quant/" + name).value());
}

// The same matrix in strips.
inline QuantBytes in_strips(const QuantMatrix& matrix) {
  QuantBytes bytes;
  const QuantLayout& layout = matrix.layout();
  bytes.codes.resize(static_cast<size_t>(layout.code_bytes)), bytes.scales.resize(static_cast<size_t>(layout.scale_bytes));
  if (quant_format_info(matrix.format()).has_biases) bytes.biases.resize(bytes.scales.size());
  const int64_t scales = layout.scale_bytes / matrix.rows();
  for (int64_t r = 0; r < matrix.rows(); r += kStripRows)
    to_strip(matrix.format(), matrix.cols(), matrix.row(r),
             {bytes.codes.data() + r * layout.row_bytes, bytes.scales.data() + r * scales,
              bytes.biases.empty() ? nullptr : bytes.biases.data() + r * scales});
  return bytes;
}

template <class T>
std::vector<T> as(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

// The tensors of a small, trusted safetensors file: layer formats, which reads untrusted ones, comes after this one.
inline std::map<std::string, std::vector<std::byte>> read_tensors(const std::string& name) {
  const std::vector<std::byte> file = read_vector_file(name);
  const auto header_bytes = as<uint64_t>(std::span(file).first(8))[0];
  const Json header = Json::parse(std::string_view(reinterpret_cast<const char*>(file.data()) + 8, header_bytes), name).value();
  std::map<std::string, std::vector<std::byte>> tensors;
  for (const auto& [key, value] : header.as_object()) {
    if (key == "__metadata__") continue;
    const auto offsets = value.find("data_offsets")->as_array();
    const auto begin = static_cast<size_t>(offsets[0].to_int64().value()), end = static_cast<size_t>(offsets[1].to_int64().value());
    const auto data = std::span(file).subspan(8 + header_bytes + begin, end - begin);
    tensors[key] = {data.begin(), data.end()};
  }
  return tensors;
}

inline std::vector<float> decode_all(const QuantMatrix& matrix) {
  std::vector<float> out(static_cast<size_t>(matrix.rows() * matrix.cols()));
  for (int64_t r = 0; r < matrix.rows(); ++r) matrix.decode_row(r, out.data() + r * matrix.cols());
  return out;
}

// Normal with this deviation, by the Box-Muller formula.
inline std::vector<float> normal_weights(Random& random, int64_t count, double deviation = 0.02) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values)
    value =
        static_cast<float>(deviation * std::sqrt(-2 * std::log(1 - random.unit())) * std::cos(6.283185307179586 * random.unit()));
  return values;
}

inline double squared_error(std::span<const float> a, std::span<const float> b, std::span<const float> importance = {}) {
  double error = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double miss = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    error += miss * miss * (importance.empty() ? 1.0 : static_cast<double>(importance[i % importance.size()]));
  }
  return error;
}

inline ::testing::AssertionResult same_bits(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " values against " << b.size();
  for (size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(&a[i], &b[i], 4) != 0)
      return ::testing::AssertionFailure() << "element " << i << ": " << a[i] << " against " << b[i];
  return ::testing::AssertionSuccess();
}

}  // namespace quern::quant_test
