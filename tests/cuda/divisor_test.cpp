// Divisions by multiplication.
#include "kernels/cuda/divisor.h"

#include <doctest/doctest.h>

#include <limits>
#include <vector>

namespace nnm::cuda {
namespace {

TEST_CASE("a divisor divides as the operator does") {
  constexpr int kMost = std::numeric_limits<int>::max();
  std::vector<int> divisors = {kMost, kMost - 1, 1 << 30, (1 << 30) + 1};
  for (int d = 1; d <= 1000; ++d) divisors.push_back(d);
  for (const int d : divisors) {
    const Divisor by(d);
    std::vector<int> numbers = {0, 1, kMost, kMost - 1, d - 1, d, kMost / d * d, kMost / d * d - 1};
    for (int n = 2; n < kMost / 3; n = n * 3 + 1) numbers.push_back(n);
    for (const int n : numbers) {
      int rest = -1;
      const int quotient = by.divide(n, rest);
      CAPTURE(n);
      CAPTURE(d);
      CHECK(quotient == n / d);
      CHECK(rest == n % d);
    }
  }
}

}  // namespace
}  // namespace nnm::cuda
