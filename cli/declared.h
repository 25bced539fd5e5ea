// What the verbs declare of their command lines, for those who tell of it: completion, the manual.
#pragma once

#include <string>
#include <vector>

#include "cli/app.h"

namespace nnm::cli {

/// An option, or a positional argument (no names).
struct DeclaredOption {
  std::vector<std::string> names;  ///< "--format", "-o"; "" never
  std::string doc;
  std::string value;                 ///< what stands for its value: "FILE", "N"; "" of a flag
  std::vector<std::string> choices;  ///< the words it takes, where they are known
  bool is_path = false;              ///< its value may be the name of a file
  bool many = false;                 ///< it takes several, or may be given again
  bool required = false;
};

struct DeclaredVerb {
  std::string name, doc;
  std::vector<DeclaredOption> options, arguments;
};

/// The verbs of the program to which `verb` belongs, in the order of the help.
std::vector<DeclaredVerb> declared_verbs(App verb);

}  // namespace nnm::cli
