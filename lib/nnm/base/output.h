// Where results go: what is never written over.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

namespace nnm {

/// Throws Error(config) where the file to write is one of those that are read.
void refuse_inputs(const std::string& output, std::initializer_list<std::string> inputs);
/// The descriptor of this process that a path such as /dev/stdout or /dev/fd/3 stands for; -1 for
/// other paths. It is written to as it is, since the file behind it, if it is one, is another's.
int own_descriptor(const std::string& path);
/// Opens a file, device or pipe to be written to, by the flags of open(2). Throws Error(output),
/// also for a pipe that nobody comes to read.
int open_to_write(const std::string& path, int flags);
/// What the name of a file ends in, from its last dot on, in small letters: ".h5", or "".
std::string ending_of(const std::string& path);
/// Throws Error(config) where the name of the file to write has another ending than these, as it
/// would promise what is not in it. A name without any is as good as each; so are devices, pipes.
void check_ending(const std::string& output, const std::vector<std::string>& endings);
/// The file that is written where `path` is asked for: the one behind it where it is a link, which
/// stays one. Throws Error(output) for a device or a pipe, which no new file must replace;
/// write_file_atomic writes into those.
std::string replaceable(const std::string& path);

}  // namespace nnm
