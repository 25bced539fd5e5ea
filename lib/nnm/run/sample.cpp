// One forward a token over the window; what is drawn is chosen on the host.
#include "nnm/run/sample.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "nnm/autograd/node.h"
#include "nnm/base/log.h"
#include "nnm/data/text.h"
#include "nnm/data/transform.h"
#include "nnm/ops/autocast.h"
#include "nnm/ops/ops.h"
#include "nnm/run/vocabulary.h"

namespace nnm::run {

namespace {

using Ids = std::vector<int64_t>;

const data::SplitConfig* text_split(const Session& session) {
  const data::Data* data = session.checked().data.get();
  if (!data) return nullptr;
  const auto& splits = data->config().splits;
  const auto at = std::find_if(splits.begin(), splits.end(), [](const data::SplitConfig& s) {
    return s.form == data::SplitConfig::Form::text;
  });
  return at == splits.end() ? nullptr : &*at;
}

// The checkpoint's, else that of the config's text.
data::Tokenizer find_tokenizer(Session& session, const std::string& checkpoint) {
  if (!checkpoint.empty())
    if (auto kept = read_vocabulary(checkpoint)) return *std::move(kept);
  const data::SplitConfig* text = text_split(session);
  if (!text)
    throw Error(
        ErrorKind::config,
        fmt::format("{} is no language model: its data are no text", session.config().path()),
        "write `train: {text: input.txt, tokenizer: char, context: 64}` under `data:`");
  return session.data().tokenizer(text->name);
}

/// The model as a function from ids to the logits of what comes next.
class Predictor {
 public:
  Predictor(Session& session, const SampleOptions& options, int64_t vocab)
      : model_(*session.model()), vocab_(vocab) {
    const auto& inputs = session.description().inputs;
    const bool fits =
        !inputs.empty() &&
        (!inputs[0].typed || (is_integral(inputs[0].dtype) && inputs[0].dims.size() == 2));
    const auto optional = [](const lang::ModelInput& i) { return i.optional; };
    if (!fits || !std::all_of(inputs.begin() + 1, inputs.end(), optional))
      throw Error(
          ErrorKind::config,
          fmt::format("{} is no language model: it does not take token ids alone",
                      session.config().path()),
          "its first input is `ids: i64[B, T]`, and others are optional: `targets: i64[B, T]?`");
    dtype_ = inputs[0].typed ? inputs[0].dtype : DType::i64;
    if (inputs[0].typed) fixed_ = inputs[0].dims[1];
    window_ = options.context;
    const data::SplitConfig* text = text_split(session);
    if (!window_) window_ = fixed_ > 0 ? fixed_ : text ? text->context : 0;
    if (!window_)
      throw Error(ErrorKind::config, "how many tokens the model can see is not known",
                  "say --context N, or write `context:` beside `text:` under `data:`");
    if (fixed_ > 0) window_ = std::min(window_, fixed_);
  }

  int64_t window() const { return window_; }

  /// Logits (V) of the token after these.
  std::vector<double> next(const Ids& ids) const {
    const auto n = std::min(static_cast<int64_t>(ids.size()), window_);
    Ids seen(ids.end() - n, ids.end());
    if (fixed_ > 0) seen.resize(static_cast<size_t>(fixed_), 0);
    const auto length = static_cast<int64_t>(seen.size());
    const Tensor x = to(tensor_of<int64_t>(seen, {1, length}, {DType::i64}),
                        TensorOptions{dtype_, default_device()});
    const Tensor logits = logits_of(model_(Value(x)), length);
    const Tensor last =
        contiguous(to(select(select(logits, 1, n - 1), 0, 0), TensorOptions{DType::f64, Device{}}));
    // Ids beyond the vocabulary stand for no text.
    const double* begin = last.data<double>();
    std::vector<double> out(begin, begin + vocab_);
    if (!std::all_of(out.begin(), out.end(), [](double v) { return v < INFINITY; }))
      fail(ErrorKind::diverged, "the model gives logits that are not finite");
    return out;
  }

 private:
  Tensor logits_of(const Value& output, int64_t length) const {
    const Value* v = &output;
    if (output.is(Value::Kind::dict)) v = output.find("logits");
    else if (output.is_sequence() && !output.items().empty()) v = &output.items()[0];
    Tensor t = v && v->is(Value::Kind::tensor) ? v->as<Tensor>() : Tensor();
    if (!t.defined() || t.dim() != 3 || t.size(0) != 1 || t.size(1) != length)
      throw Error(ErrorKind::config,
                  fmt::format("the model gives no logits (B, T, V) but {}",
                              t.defined() ? t.shape().str() : output.type_name()),
                  "it returns them alone, first, or by name: `return logits=head(x)`");
    NNM_CHECK(t.size(2) >= vocab_, config, "the model knows {} tokens, the vocabulary has {}",
              t.size(2), vocab_);
    return t;
  }

  Module& model_;
  int64_t vocab_, window_ = 0, fixed_ = 0;  // fixed_: a T that the model insists on
  DType dtype_ = DType::i64;
};

/// The token drawn by u, uniform in [0, 1).
int64_t choose(const std::vector<double>& logits, const SampleOptions& o, double u) {
  Ids order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto likelier = [&](int64_t a, int64_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  };
  // Of equals the first, as argmax has it.
  std::stable_sort(order.begin(), order.end(), likelier);
  if (o.temperature == 0) return order[0];
  if (o.top_k > 0 && o.top_k < std::ssize(order)) order.resize(static_cast<size_t>(o.top_k));
  std::vector<double> p(order.size());
  const double most = logits[static_cast<size_t>(order[0])];
  for (size_t i = 0; i < p.size(); ++i)
    p[i] = std::exp((logits[static_cast<size_t>(order[i])] - most) / o.temperature);
  double total = std::accumulate(p.begin(), p.end(), 0.0), kept = 0;
  size_t n = 0;
  while (n < p.size() && (n == 0 || kept < o.top_p * total)) kept += p[n++];
  double left = u * kept;
  for (size_t i = 0; i < n; ++i)
    if ((left -= p[i]) < 0) return order[i];
  return order[n - 1];
}

Ids encode(const data::Tokenizer& tokenizer, const std::string& text) {
  try {
    const Tensor ids = contiguous(to(tokenizer.encode(text, "--prompt"), DType::i64));
    return {ids.data<int64_t>(), ids.data<int64_t>() + ids.numel()};
  } catch (const Error& e) {
    throw Error(ErrorKind::config, e.what(), e.hint());
  }
}

}  // namespace

Sampled sample(Session& session, const SampleOptions& o) {
  const data::Tokenizer tokenizer = find_tokenizer(session, o.checkpoint);
  const auto& symbols = tokenizer.symbols();
  const Predictor predictor(session, o, tokenizer.vocab());
  const bool bpe = tokenizer.family() == "bpe";
  const int64_t end = bpe ? tokenizer.vocab() - 1 : -1;
  Ids ids = encode(tokenizer, o.prompt);
  if (ids.empty()) {
    const auto line = std::find(symbols.begin(), symbols.end(), "\n");
    ids = {bpe ? end : line == symbols.end() ? 0 : line - symbols.begin()};
  }
  if (std::ssize(ids) > predictor.window())
    log_note("of the prompt's {} tokens the model sees the last {}", ids.size(),
             predictor.window());
  const NoGradGuard no_grad;
  const AutocastGuard autocast(session.plan().autocast);
  session.model()->eval();
  data::Draws draws(o.seed, 0, 0);
  Sampled out;
  while (out.tokens < o.tokens) {
    const int64_t id = choose(predictor.next(ids), o, draws.uniform());
    if (id == end) break;
    ids.push_back(id);
    ++out.tokens;
    const std::string& symbol = symbols[static_cast<size_t>(id)];
    out.text += symbol;
    if (o.write && !o.write(symbol)) break;
  }
  return out;
}

}  // namespace nnm::run
