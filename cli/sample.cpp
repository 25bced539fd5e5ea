// nnm sample: text from a language model.
#include <unistd.h>

#include <memory>
#include <utility>

#include "cli/config_file.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/text.h"
#include "nnm/run/sample.h"

namespace nnm::cli {

namespace {

struct SampleOptions {
  ConfigFile file;
  run::WeightsOptions weights;
  run::SampleOptions sample;
  std::string format;
  bool ema = false, partial = false;
  Compute compute;
};

/// Text as it is made. Characters come in pieces; a terminal gets whole ones, and none that it
/// would obey.
class Stream {
 public:
  /// False where nobody reads it any more.
  bool write(std::string_view piece) {
    if (!terminal_) {
      print(piece);
    } else {
      rest_ += piece;
      // At most the last three bytes are the beginning of a character.
      size_t whole = rest_.size();
      for (size_t back = 1; back <= std::min<size_t>(3, rest_.size()); ++back) {
        const auto c = static_cast<unsigned char>(rest_[rest_.size() - back]);
        if (c < 0xc0) continue;
        if (utf8_length(std::string_view(rest_).substr(rest_.size() - back)) == 0)
          whole = rest_.size() - back;
        break;
      }
      show(std::string_view(rest_).substr(0, whole));
      rest_.erase(0, whole);
    }
    return flush_output();
  }
  void end() {
    show(rest_);
    print("\n");
  }

 private:
  static void show(std::string_view text) {
    for (size_t begin = 0, stop = 0; begin <= text.size(); begin = stop + 1) {
      stop = std::min(text.find_first_of("\n\t", begin), text.size());
      print(escape_terminal(text.substr(begin, stop - begin)));
      if (stop < text.size()) print(text.substr(stop, 1));
    }
  }
  bool terminal_ = isatty(STDOUT_FILENO) != 0;
  std::string rest_;
};

std::string read_prompt() {
  std::string out;
  char buffer[4096];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, stdin)) out.append(buffer, n);
  return out;
}

std::string json(const SampleOptions& o, const run::Sampled& s) {
  Json j;
  j.object().entry("checkpoint", o.sample.checkpoint).entry("prompt", o.sample.prompt);
  j.entry("text", s.text).entry("tokens", s.tokens).entry("seed", o.sample.seed);
  return j.end().text();
}

int run_sample(SampleOptions o) {
  if (o.sample.prompt == "-") o.sample.prompt = read_prompt();
  o.weights.best = o.file.best;
  run::Source source = o.file.open();
  run::SessionOptions s;
  s.device = o.compute.apply();
  s.check.evaluation = true;
  s.data = false;
  o.sample.checkpoint = run::resolve_weights(source, o.weights);
  run::Session session(std::move(source), s);
  session.load_weights(o.sample.checkpoint, o.partial, o.ema);
  if (o.format == "json") {
    print_line(json(o, run::sample(session, o.sample)));
    return 0;
  }
  Stream out;
  bool begun = false;
  o.sample.write = [&](std::string_view piece) {
    if (!std::exchange(begun, true)) out.write(o.sample.prompt);
    return out.write(piece);
  };
  run::sample(session, o.sample);
  if (!begun) out.write(o.sample.prompt);
  out.end();
  return 0;
}

}  // namespace

Action sample(App app) {
  auto o = std::make_shared<SampleOptions>();
  run::SampleOptions& s = o->sample;
  o->file.declare(app);
  app.add_option("--prompt", s.prompt, "the text to go on with; - reads it from stdin");
  app.add_option("--tokens", s.tokens, "how many tokens to make (200)").between(1, 1 << 30);
  app.add_option("--temperature", s.temperature,
                 "below 1 likelier tokens, above 1 wilder ones; 0: always the likeliest (1)")
      .not_negative();
  app.add_option("--top-k", s.top_k, "draw from the K likeliest tokens alone").positive();
  app.add_option("--top-p", s.top_p,
                 "draw from the likeliest tokens that together have this probability alone")
      .probability();
  app.add_option("--seed", s.seed, "another seed gives another text (0)");
  app.add_option("--context", s.context,
                 "how many tokens the model sees at most (default: data's `context`)")
      .positive();
  add_weights(app, o->weights);
  app.add_flag("--ema", o->ema, "the averages of the weights (train.ema)");
  app.add_flag("--partial", o->partial, "load the weights that fit");
  add_format(app, o->format);
  o->compute.declare(app);
  return [o] { return run_sample(*o); };
}

}  // namespace nnm::cli
