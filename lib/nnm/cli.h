// The nnm program as a function: for a program of one's own that has more layers, losses,
// optimizers or datasets than nnm.
//
//   #include <nnm/cli.h>
//   NNM_REGISTER(nnm::Module, Swish);
//   int main(int argc, char** argv) { return nnm::cli_main(argc, argv); }
#pragma once

namespace nnm {

/// Runs the verb that the command line names, with messages on stderr, and gives the exit code.
/// What is registered in the program stands beside nnm's own types. Link with nnm::cli.
int cli_main(int argc, char** argv);

}  // namespace nnm
