// The nnm program.
#include "nnm/cli.h"

int main(int argc, char** argv) { return nnm::cli_main(argc, argv); }
