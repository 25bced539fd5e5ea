// The `data:` section of a config as what the data room takes.
#pragma once

#include "nnm/data/config.h"
#include "nnm/lang/config.h"

namespace nnm::run {

/// Reads forms, keys, expressions and paths (made usable from the working directory). Adds every
/// error (E02xx structure, E03xx names, E04xx values) to `d`, with its place. Empty where the
/// config has no such section.
data::DataConfig read_data(const lang::Config& config, Diagnostics& d);

}  // namespace nnm::run
