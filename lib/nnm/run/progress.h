// Progress: how a run shows on stderr — a bar on a terminal, else lines at growing intervals.
#pragma once

#include <memory>
#include <string>

#include "nnm/train/events.h"

namespace nnm::run {

enum class ProgressStyle : uint8_t { automatic, bar, plain, none };
/// Throws Error(config) for another word.
ProgressStyle parse_progress(const std::string& word);

/// Automatic: a bar where stderr is a terminal and neither CI nor
/// TERM=dumb say otherwise, else lines after 1, 2, 5, 10, 30, 60, 120 … seconds, at an epoch's end
/// if a second has passed since the last, and one at the end. Null for `none`.
std::unique_ptr<train::Events> make_progress(ProgressStyle style, train::Goal goal);

}  // namespace nnm::run
