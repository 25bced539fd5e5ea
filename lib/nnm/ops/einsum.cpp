// einsum: operands brought to one order of subscripts, then multiplied pair by pair as batches of
// matrices.
#include <algorithm>
#include <cctype>

#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"

namespace nnm {

namespace {

// A subscript is a letter, or a number from kEllipsis on for a dimension that `...` stands for.
constexpr int kEllipsis = 128;
using Subscripts = std::vector<int>;

[[noreturn]] void fail_einsum(const std::string& what) {
  throw Error(ErrorKind::runtime, "einsum(): " + what);
}

bool contains(const Subscripts& s, int c) { return std::find(s.begin(), s.end(), c) != s.end(); }

// Subscripts of one term; -1 stands for `...`.
Subscripts parse_term(const std::string& equation, size_t begin, size_t end) {
  Subscripts out;
  for (size_t i = begin; i < end; ++i) {
    const char c = equation[i];
    if (c == ' ') continue;
    if (c == '.') {
      if (i + 2 >= end || equation.compare(i, 3, "...") != 0)
        fail_einsum("found '.' that is not part of any ellipsis");
      if (contains(out, -1)) fail_einsum("found more than one ellipsis in a term of the equation");
      out.push_back(-1);
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(c))) {
      out.push_back(c);
    } else {
      fail_einsum(
          fmt::format("invalid subscript given at index {} in the equation string, "
                      "subscripts must be in [a-zA-Z]",
                      i));
    }
  }
  return out;
}

struct Equation {
  std::vector<Subscripts> inputs;
  Subscripts output;
};

// The subscripts with `...` as numbers, right-aligned as broadcasting has it.
Subscripts with_ellipsis(const Subscripts& s, int dims, int width) {
  Subscripts out;
  for (int c : s) {
    if (c != -1) {
      out.push_back(c);
      continue;
    }
    for (int i = width - dims; i < width; ++i) out.push_back(kEllipsis + i);
  }
  return out;
}

// Without `->`: the ellipsis, then the letters that stand once, in alphabetical order.
Subscripts implicit_output(const std::vector<Subscripts>& inputs, int width) {
  Subscripts out;
  for (int i = 0; i < width; ++i) out.push_back(kEllipsis + i);
  for (int c = 0; c < kEllipsis; ++c) {
    int64_t times = 0;
    for (const Subscripts& s : inputs) times += std::count(s.begin(), s.end(), c);
    if (times == 1) out.push_back(c);
  }
  return out;
}

Equation parse_equation(const std::string& text, const Tensors& operands) {
  const size_t arrow = text.find("->");
  const size_t end = arrow == std::string::npos ? text.size() : arrow;
  Equation e;
  for (size_t at = 0;;) {
    const size_t comma = std::min(text.find(',', at), end);
    e.inputs.push_back(parse_term(text, at, comma));
    if (comma == end) break;
    at = comma + 1;
  }
  if (e.inputs.size() > operands.size())
    fail_einsum("fewer operands were provided than specified in the equation");
  if (e.inputs.size() < operands.size())
    fail_einsum("more operands were provided than specified in the equation");
  int width = 0;
  std::vector<int> dims;
  for (size_t i = 0; i < operands.size(); ++i) {
    const bool open = contains(e.inputs[i], -1);
    const int named = static_cast<int>(e.inputs[i].size()) - (open ? 1 : 0), n = operands[i].dim();
    if (open ? named > n : named != n) {
      fail_einsum(fmt::format(
          "the number of subscripts in the equation ({}) {} the number of dimensions ({}) for "
          "operand {}{}",
          named, open ? "is more than" : "does not match", n, i,
          open ? "" : " and no ellipsis was given"));
    }
    dims.push_back(n - named);
    width = std::max(width, n - named);
  }
  for (size_t i = 0; i < operands.size(); ++i)
    e.inputs[i] = with_ellipsis(e.inputs[i], dims[i], width);
  if (arrow == std::string::npos) {
    e.output = implicit_output(e.inputs, width);
    return e;
  }
  e.output = with_ellipsis(parse_term(text, arrow + 2, text.size()), width, width);
  for (size_t i = 0; i < e.output.size(); ++i) {
    const int c = e.output[i];
    if (std::count(e.output.begin(), e.output.end(), c) > 1)
      fail_einsum(fmt::format("output subscript {} appears more than once in the output",
                              static_cast<char>(c)));
    if (std::none_of(e.inputs.begin(), e.inputs.end(),
                     [c](const Subscripts& s) { return contains(s, c); })) {
      fail_einsum(
          fmt::format("output subscript {} does not appear in the equation for any input operand",
                      static_cast<char>(c)));
    }
  }
  return e;
}

// An operand under way: a tensor and what its dimensions are called.
struct Term {
  Tensor x;
  Subscripts names;

  int64_t extent(int c) const {
    const auto at = std::find(names.begin(), names.end(), c);
    return at == names.end() ? 1 : x.shape()[static_cast<int>(at - names.begin())];
  }
  void drop(int c) {
    const auto at = std::find(names.begin(), names.end(), c);
    x = sum(x, {at - names.begin()});
    names.erase(at);
  }
};

// A subscript that stands twice in one operand takes its diagonal.
Term without_repeats(Tensor x, const Subscripts& s, size_t operand) {
  Term t{std::move(x), {}};
  for (int c : s) {
    const auto first = std::find(t.names.begin(), t.names.end(), c);
    const int at = static_cast<int>(t.names.size());
    if (first == t.names.end()) {
      t.names.push_back(c);
      continue;
    }
    const int64_t before = first - t.names.begin();
    const int64_t n = t.x.shape()[static_cast<int>(before)], m = t.x.shape()[at];
    if (n != m) {
      fail_einsum(
          fmt::format("subscript {} is repeated for operand {} but the sizes don't match, "
                      "{} != {}",
                      static_cast<char>(c), operand, m, n));
    }
    t.x = movedim(diagonal(t.x, 0, before, at), {-1}, {before});
  }
  return t;
}

// Dimensions of t in the order of the groups, each group one dimension.
Tensor grouped(const Term& t, const std::vector<Subscripts>& groups,
               const std::vector<int64_t>& extents) {
  Dims order;
  for (const Subscripts& g : groups) {
    for (int c : g) {
      const auto at = std::find(t.names.begin(), t.names.end(), c);
      if (at != t.names.end()) order.push_back(at - t.names.begin());
    }
  }
  const Tensor y = std::is_sorted(order.begin(), order.end()) ? t.x : permute(t.x, order);
  return reshape(y, Shape(extents));
}

// The product of two terms, summed over what neither the output nor a later operand needs.
Term multiply(Term a, Term b, const Subscripts& wanted) {
  Subscripts batch, summed, left, right;
  // A subscript of extent 1 on one side is broadcast: there it is no dimension at all.
  const auto squeeze_ones = [](Term& t, const Term& other) {
    for (size_t i = 0; i < t.names.size();) {
      const int c = t.names[i];
      if (t.x.shape()[static_cast<int>(i)] == 1 && contains(other.names, c) &&
          other.extent(c) != 1) {
        t.x = squeeze(t.x, static_cast<int64_t>(i));
        t.names.erase(t.names.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
  };
  squeeze_ones(a, b);
  squeeze_ones(b, a);
  const auto drop_alone = [&](Term& t, const Term& other) {
    for (int c : Subscripts(t.names))
      if (!contains(other.names, c) && !contains(wanted, c)) t.drop(c);
  };
  drop_alone(a, b);
  drop_alone(b, a);
  for (int c : a.names) {
    if (!contains(b.names, c)) left.push_back(c);
    else (contains(wanted, c) ? batch : summed).push_back(c);
  }
  for (int c : b.names)
    if (!contains(a.names, c)) right.push_back(c);
  const auto count = [](const Term& t, const Subscripts& s) {
    int64_t n = 1;
    for (int c : s) n *= t.extent(c);
    return n;
  };
  const int64_t nb = count(a, batch), ns = count(a, summed), nl = count(a, left),
                nr = count(b, right);
  const Tensor x = grouped(a, {batch, left, summed}, {nb, nl, ns});
  const Tensor z = grouped(b, {batch, summed, right}, {nb, ns, nr});
  // Without a sum numbers of different types, and truth values, may meet, as in any product.
  const bool any_types = summed.empty() && (x.dtype() != z.dtype() || x.dtype() == DType::b8);
  const Tensor y = any_types ? mul(x, z) : bmm(x, z);
  Term out;
  Shape shape;
  for (const Subscripts* g : {&batch, &left, &right}) {
    for (int c : *g) {
      out.names.push_back(c);
      shape.push_back(g == &right ? b.extent(c) : a.extent(c));
    }
  }
  out.x = view(y, shape);
  return out;
}

void check_extents(const std::vector<Term>& terms) {
  for (size_t i = 0; i < terms.size(); ++i) {
    for (int c : terms[i].names) {
      for (size_t j = 0; j < i; ++j) {
        const int64_t seen = terms[j].extent(c), n = terms[i].extent(c);
        if (seen == n || seen == 1 || n == 1) continue;
        fail_einsum(
            fmt::format("subscript {} has size {} for operand {} which does not broadcast "
                        "with previously seen size {}",
                        static_cast<char>(c), n, i, seen));
      }
    }
  }
}

}  // namespace

Tensor einsum(const std::string& equation, const Tensors& operands) {
  if (operands.empty()) fail_einsum("must provide at least one operand");
  for (const Tensor& x : operands) detail::check_defined(x, "einsum");
  const Equation e = parse_equation(equation, operands);
  std::vector<Term> terms;
  for (size_t i = 0; i < operands.size(); ++i)
    terms.push_back(without_repeats(operands[i], e.inputs[i], i));
  check_extents(terms);
  Term result = terms[0];
  for (size_t i = 1; i < terms.size(); ++i) {
    Subscripts wanted = e.output;
    for (size_t j = i + 1; j < terms.size(); ++j)
      wanted.insert(wanted.end(), terms[j].names.begin(), terms[j].names.end());
    result = multiply(std::move(result), terms[i], wanted);
  }
  for (int c : Subscripts(result.names))
    if (!contains(e.output, c)) result.drop(c);
  Dims order;
  for (int c : e.output)
    order.push_back(std::find(result.names.begin(), result.names.end(), c) - result.names.begin());
  return std::is_sorted(order.begin(), order.end()) ? result.x : permute(result.x, order);
}

namespace {

Tensor einsum_call(const std::string& equation, const Tensors& operands) {
  return einsum(equation, operands);
}

constexpr Function kEinsumFunctions[] = {
    {"einsum(equation: str, *operands: Tensor)", "sums of products by Einstein's notation",
     call<einsum_call>},
};
NNM_REGISTER_FUNCTIONS(kEinsumFunctions);

}  // namespace
}  // namespace nnm
