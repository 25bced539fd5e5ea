// Files and folders: caps, atomic writes, numbering, links, locks, checksums.
#include "nnm/base/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "nnm/base/error.h"
#include "nnm/base/output.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::error_of;
namespace fs = std::filesystem;

namespace {

struct TempFolder {
  TempFolder() {
    char name[] = "/tmp/nnm-base-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~TempFolder() { fs::remove_all(path); }
  std::string path;
};

}  // namespace

TEST_CASE("file: what is written is read, and caps hold") {
  const TempFolder t;
  const std::string path = t.path + "/x", bytes("a\0b\xff\n", 5);
  write_file_atomic(path, bytes);
  CHECK(read_file(path, 100) == bytes);
  CHECK(read_file(path, 5) == bytes);
  CHECK(error_of(ErrorKind::input_file, [&] { read_file(path, 4); }).find("larger than the 4") !=
        std::string::npos);
  CHECK(error_of(ErrorKind::input_file, [&] {
          read_file(t.path + "/none", 4);
        }).ends_with("/none: No such file or directory"));
  CHECK(error_of(ErrorKind::input_file, [&] { read_file(t.path, 4); }).ends_with("it is a folder"));
  write_file_atomic(path, "new");
  CHECK(read_file(path, 100) == "new");
  CHECK(std::distance(fs::directory_iterator(t.path), fs::directory_iterator()) == 1);
}

TEST_CASE("file: a slip in a path is told") {
  const TempFolder t;
  fs::create_directories(t.path + "/runs/001");
  write_file_atomic(t.path + "/net.yaml", "nnm: 1");
  CHECK(path_advice(t.path + "/net.yml") == "did you mean `" + t.path + "/net.yaml`?");
  CHECK(path_advice(t.path + "/runs/0o1") == "did you mean `" + t.path + "/runs/001`?");
  CHECK(path_advice(t.path + "/rusn/001") == "did you mean `" + t.path + "/runs/001`?");
  CHECK(path_advice(t.path + "/rusn/0o1") == "");
  CHECK(path_advice(t.path + "/net.yaml") == "");
  CHECK(path_advice(t.path + "/other.csv") == "");
  CHECK(path_advice(t.path + "/bed.yaml") == "");
  CHECK(path_advice("") == "");
}

TEST_CASE("file: a process that is ended leaves nothing half written") {
  const TempFolder t;
  const std::string path = t.path + "/x";
  const auto files = [&] {
    return std::distance(fs::directory_iterator(t.path), fs::directory_iterator());
  };
  write_file_atomic(path, "old");
  const std::string said = error_of(ErrorKind::output, [&] {
    write_atomically(path, [&](const std::string& part) {
      write_file_atomic(part, "half");
      CHECK(files() == 2);
      remove_unfinished();
      CHECK(files() == 1);
    });
  });
  CHECK(said != "");
  remove_unfinished();
  CHECK(read_file(path, 100) == "old");
  CHECK(files() == 1);
}

TEST_CASE("file: a link stays one, and what is no file is written into") {
  const TempFolder t;
  fs::create_directory(t.path + "/there");
  const std::string link = t.path + "/link", pipe = t.path + "/pipe";
  fs::create_symlink("there/x", link);
  write_file_atomic(link, "one");  // of a file that does not exist yet
  write_file_atomic(link, "two");
  CHECK(fs::is_symlink(link));
  CHECK(read_file(t.path + "/there/x", 100) == "two");

  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  check_writable(pipe);
  std::thread writer([&] { write_file_atomic(pipe, "text"); });
  CHECK(read_file(pipe, 100) == "text");
  writer.join();
  CHECK(error_of(ErrorKind::output, [&] {
          write_file_atomic(pipe, "text");
        }).ends_with("/pipe: a pipe that nobody reads"));
  const std::string said =
      error_of(ErrorKind::output, [&] { write_atomically(pipe, [](const std::string&) {}); });
  CHECK(said.ends_with("/pipe: not a regular file"));
  CHECK(fs::is_fifo(pipe));
  CHECK(std::distance(fs::directory_iterator(t.path), fs::directory_iterator()) == 3);
}

TEST_CASE("file: what the process has open is written into where it stands") {
  CHECK(own_descriptor("/dev/stdout") == 1);
  CHECK(own_descriptor("/proc/self/fd/37") == 37);
  for (const char* none : {"/dev/fd/", "/dev/fd/1x", "/dev/fd/-1", "/dev/null", "stdout"})
    CHECK(own_descriptor(none) == -1);
  const TempFolder t;
  const std::string path = t.path + "/log";
  write_file_atomic(path, "before\n");
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND);
  REQUIRE(fd >= 0);
  write_file_atomic(fmt::format("/dev/fd/{}", fd), "after\n");
  CHECK(::close(fd) == 0);
  CHECK(read_file(path, 100) == "before\nafter\n");
}

TEST_CASE("file: a write that fails leaves the old file and nothing else") {
  const TempFolder t;
  fs::create_directory(t.path + "/taken");
  CHECK(error_of(ErrorKind::output, [&] { write_file_atomic(t.path + "/taken", "x"); }) != "");
  CHECK(error_of(ErrorKind::output, [&] {
          write_file_atomic(t.path + "/no/x", "x");
        }).ends_with("No such file or directory"));
  CHECK(std::distance(fs::directory_iterator(t.path), fs::directory_iterator()) == 1);
}

TEST_CASE("folder: numbers go on after the highest, one for each thread") {
  const TempFolder t;
  const std::string runs = t.path + "/a/runs";
  CHECK(make_numbered_folder(runs) == runs + "/001");
  fs::create_directory(runs + "/041");
  fs::create_directory(runs + "/50x");
  CHECK(make_numbered_folder(runs) == runs + "/042");
  std::set<std::string> made;
  std::mutex lock;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 10; ++k) {
        const std::string path = make_numbered_folder(runs);
        const std::scoped_lock held(lock);
        made.insert(path);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(made.size() == 40);
  write_file_atomic(t.path + "/file", "");
  CHECK(error_of(ErrorKind::output, [&] {
          make_folders(t.path + "/file/x");
        }).ends_with("/file: Not a directory"));
}

TEST_CASE("folder: a link is replaced, a file is not") {
  const TempFolder t;
  const std::string link = t.path + "/last";
  replace_symlink("one", link);
  replace_symlink("two", link);
  CHECK(fs::read_symlink(link) == "two");
  write_file_atomic(t.path + "/file", "kept");
  CHECK(error_of(ErrorKind::output, [&] {
          replace_symlink("x", t.path + "/file");
        }).ends_with("File exists"));
  CHECK(read_file(t.path + "/file", 10) == "kept");
}

TEST_CASE("folder: a lock is exclusive until it is gone") {
  const TempFolder t;
  {
    const FolderLock lock(t.path);
    CHECK(error_of(ErrorKind::output, [&] { FolderLock again(t.path); }) ==
          fmt::format("{} is in use by process {}", t.path, ::getpid()));
  }
  CHECK_NOTHROW(FolderLock(t.path));
  CHECK(error_of(ErrorKind::output, [&] {
          FolderLock none(t.path + "/none");
        }).ends_with("No such file or directory"));
}

TEST_CASE("file: crc32c has the standard's values, at every length and alignment") {
  CHECK(crc32c("123456789", 9) == 0xe3069283u);
  CHECK(crc32c("", 0) == 0);
  CHECK(crc32c(std::string(32, '\0').data(), 32) == 0x8a9136aau);
  CHECK(crc32c(std::string(32, '\xff').data(), 32) == 0x62a8ab43u);
  std::vector<uint8_t> data(100003);
  uint32_t state = 1;
  for (uint8_t& b : data) b = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  const auto bitwise = [](const uint8_t* p, size_t n) {
    uint32_t c = ~0u;
    for (; n; --n) {
      c ^= *p++;
      for (int k = 0; k < 8; ++k) c = (c >> 1) ^ (c & 1 ? 0x82f63b78u : 0u);
    }
    return ~c;
  };
  for (const size_t n :
       {1, 7, 8, 9, 255, 256, 257, 319, 511, 512, 800, 4096, 12287, 12288, 12289, 40000, 100000}) {
    for (const size_t at : {0, 1, 3}) {
      CHECK(crc32c(data.data() + at, n) == bitwise(data.data() + at, n));
    }
  }
  // A later part continues an earlier one.
  CHECK(crc32c(data.data() + 5000, 95003, crc32c(data.data(), 5000)) ==
        crc32c(data.data(), data.size()));
}

TEST_CASE("sha256: the standard's examples, of bytes and of a file") {
  CHECK(nnm::sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(nnm::sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
