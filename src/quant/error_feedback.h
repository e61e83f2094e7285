// Error feedback: what rounding one weight does to the products of its row is made up for in the weights that are still to be rounded
// (GPTQ, arXiv:2210.17323; as Babai's nearest plane, arXiv:2507.18553).
//
// With H the second moments of a matrix's inputs, errors e of a row cost e H e^T = |e R|^2, where H = R R^T and R is upper triangular.
// Column k of e R has errors of weights 0..k only, so that weight k, which comes after those before it, can make it nearly vanish: what has
// to be rounded in place of w_k is
//   w_k + sum_{j<k} e_j F_jk      F_jk = R_jk / R_kk,  e_j = w_j - (what j was rounded to)
// and what then is missed by d costs R_kk^2 d^2: the importance by which scales are chosen.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace quern {

// Rows that are encoded together: their sums are products of matrices. Parts of a matrix that begin at multiples of it have the bytes that
// they have in the whole.
constexpr int64_t kFeedbackRows = 32;

struct ErrorFeedback {
  // Of the mean diagonal of H, added to all of it: inputs that the text happened not to have are not free of charge.
  static constexpr double kDamping = 0.01;

  std::vector<float> importance;  // [cols]
  std::vector<float> factors;     // F, [cols, cols], zero but above the diagonal
};

// From inputs [tokens, cols]. Absent: all of them are zero, some are not finite, or there are none. Takes cols^2 * (tokens / 2 + cols / 6)
// multiplications, the first part of them on `pool` where there is one, and 12 * cols^2 bytes while it runs. The same on any number of threads.
std::optional<ErrorFeedback> error_feedback(Tensor inputs, double damping = ErrorFeedback::kDamping, ThreadPool* pool = nullptr);

}  // namespace quern
