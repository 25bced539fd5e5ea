// The proof that a run which is stopped and resumed is the run that is not.
#pragma once

#include <functional>
#include <string>

#include "nnm/run/rig.h"
#include "nnm/run/train.h"

namespace nnm::run {

struct Proof {
  std::string begin;    ///< the checkpoint the run was resumed from, or ""
  std::string weights;  ///< the weights it started from, or ""
  bool partial = false;
  std::string end;     ///< the checkpoint it ended with
  std::string folder;  ///< for a file of its own
  decltype(TrainOptions::attach) attach;
};

/// Trains anew to the middle, writes a checkpoint, reads it into other objects, trains those to the
/// end, and compares all that `proof.end` keeps, bit by bit: the first difference, or "".
std::string find_resume_difference(const Source& source, const RigOptions& options,
                                   const Proof& proof);

/// The first difference of two checkpoints in what makes a run go on: weights, optimizer, averages,
/// schedule, random numbers, place in the data, history. "" where there is none.
std::string find_difference(const io::Checkpoint& a, const io::Checkpoint& b);

}  // namespace nnm::run
