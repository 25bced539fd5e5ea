// Sample: text from a language model, token by token.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "nnm/run/session.h"

namespace nnm::run {

struct SampleOptions {
  std::string prompt;      ///< "": a new line, or `<|endoftext|>` of bpe, which is not given back
  int64_t tokens = 200;    ///< how many to make
  double temperature = 1;  ///< logits are divided by it; 0: always the likeliest
  int64_t top_k = 0;       ///< only the k likeliest; 0: all
  double top_p = 1;        ///< only the likeliest that together have this probability
  uint64_t seed = 0;       ///< the same text for the same seed
  int64_t context = 0;     ///< tokens that the model sees at most; 0: those of data's `context`
  std::string checkpoint;  ///< where the weights come from; its vocabulary goes before the data's
  /// Gets the text as it is made, token by token: bytes, not always whole characters.
  /// False ends it.
  std::function<bool(std::string_view)> write;
};

struct Sampled {
  std::string text;    ///< without the prompt
  int64_t tokens = 0;  ///< made; fewer than asked for where `<|endoftext|>` came
};

/// Makes text with the session's model in eval mode. The model takes token ids (1, T) and gives
/// logits (1, T, V): its output, or that named `logits`. Longer texts are cut to their last
/// `context` tokens; a model whose T is a number gets ids filled up to it behind the text, which a
/// causal model does not see. Tokens are drawn after temperature, then top_k, then top_p.
/// Throws Error(config) for a model or a prompt that does not fit, Error(input_file) where the
/// vocabulary is nowhere to be read, Error(diverged) for logits that are not finite.
Sampled sample(Session& session, const SampleOptions& options);

}  // namespace nnm::run
