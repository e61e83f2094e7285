// A whole folder, MLX's or a packed one: its config.json and its model.safetensors. What loads can be decoded and multiplied with, row by row.
//   input: the length of config.json in four decimal digits, config.json, model.safetensors
#include <charconv>
#include <filesystem>

#include "base/file.h"
#include "fuzz.h"
#include "model/model.h"
#include "model/tensor_walk.h"
#include "scratch_folder.h"

using namespace quern;

namespace {

struct ReadEveryMatrix {
  void matrix(const std::string& name, const std::vector<int64_t>& shape, const Weight& weight) {
    QUERN_CHECK(weight.rows() == shape[0] && weight.cols() == shape[1], name, weight.rows(), weight.cols());
    std::vector<float> row(static_cast<size_t>(weight.cols()), 1.0f);
    Int8Activations x;
    x.resize(1, weight.cols());
    x.quantize(0, row.data());
    for (int64_t r = 0; r < weight.rows(); ++r) {
      weight.decode_row(r, row.data());
      if (!is_plain(weight.format())) (void)weight.dot(r, x, 0);
    }
  }
  void vector(const std::string&, const std::vector<int64_t>&, VectorRole, const Vector&) {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::ScratchFolder folder;
  constexpr size_t kDigits = 4;
  const std::string_view input = fuzz::text_of(data, size);
  size_t length = 0;
  if (size < kDigits || std::from_chars(input.data(), input.data() + kDigits, length).ptr != input.data() + kDigits) return 0;
  if (size < kDigits + length) return 0;
  folder.write("config.json", input.substr(kDigits, length));
  folder.write("model.safetensors", input.substr(kDigits + length));
  const auto model = Model::load(folder.path());
  if (!fuzz::succeeded(model)) return 0;
  ReadEveryMatrix read;
  visit_model(read, **model);
  return 0;
}
