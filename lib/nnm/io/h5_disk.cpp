// The HDF5 file driver that files are written through: plain POSIX, remembering the first error.
#include "nnm/io/h5_disk.h"

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nnm/base/file.h"

namespace nnm::io {
namespace {

struct Info {
  DiskState* state;
};

struct Disk {
  H5FD_t base;  // HDF5's part, which must come first
  int fd;
  haddr_t end_allocated, end_written;
  DiskState* state;
};

constexpr haddr_t kMaxAddress = (haddr_t{1} << 62) - 1;
// What a second-level cache holds beside other things; less makes the writes slower.
constexpr size_t kSummedBytes = size_t{1} << 20;

Disk* disk_of(H5FD_t* file) { return reinterpret_cast<Disk*>(file); }
const Disk* disk_of(const H5FD_t* file) { return reinterpret_cast<const Disk*>(file); }

// Always creates: the driver is for new files alone.
H5FD_t* open_disk(const char* name, unsigned, hid_t access, haddr_t) {
  const auto* info = static_cast<const Info*>(H5Pget_driver_info(access));
  const int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) {
    info->state->error = errno;
    return nullptr;
  }
  info->state->created = true;
  auto* disk = static_cast<Disk*>(std::calloc(1, sizeof(Disk)));
  if (!disk) {
    close(fd);
    return nullptr;
  }
  disk->fd = fd;
  disk->state = info->state;
  return &disk->base;
}

void note(const Disk* disk) {
  if (disk->state->error == 0) disk->state->error = errno;
}

herr_t close_disk(H5FD_t* file) {
  Disk* disk = disk_of(file);
  // Network file systems report failed writes here.
  if (close(disk->fd) != 0) note(disk);
  std::free(disk);
  return 0;
}

herr_t features(const H5FD_t*, unsigned long* flags) {
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

haddr_t end_allocated(const H5FD_t* file, H5FD_mem_t) { return disk_of(file)->end_allocated; }

herr_t set_end_allocated(H5FD_t* file, H5FD_mem_t, haddr_t at) {
  disk_of(file)->end_allocated = at;
  return 0;
}

haddr_t end_written(const H5FD_t* file, H5FD_mem_t) { return disk_of(file)->end_written; }

herr_t read_disk(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t bytes, void* out) {
  Disk* disk = disk_of(file);
  auto* p = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t n = pread(disk->fd, p, bytes, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) note(disk);
    if (n <= 0) {
      std::memset(p, 0, bytes);
      return 0;
    }
    p += n;
    at += static_cast<haddr_t>(n);
    bytes -= static_cast<size_t>(n);
  }
  return 0;
}

void write_piece(Disk* disk, const char* p, size_t bytes, haddr_t at) {
  while (bytes > 0 && disk->state->error == 0) {
    const ssize_t n = pwrite(disk->fd, p, bytes, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ENOSPC;
    if (n <= 0) return note(disk);
    p += n;
    at += static_cast<haddr_t>(n);
    bytes -= static_cast<size_t>(n);
  }
}

herr_t write_disk(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t bytes, const void* data) {
  Disk* disk = disk_of(file);
  disk->end_written = std::max<haddr_t>(disk->end_written, at + bytes);
  const auto* p = static_cast<const char*>(data);
  const bool summed = data == disk->state->sum_of;
  if (summed) disk->state->sum_of = nullptr;
  const size_t piece = summed ? kSummedBytes : bytes;
  for (size_t done = 0; done < bytes; done += piece) {
    const size_t n = std::min(piece, bytes - done);
    if (summed) disk->state->crc = crc32c(p + done, n, disk->state->crc);
    write_piece(disk, p + done, n, at + done);
  }
  return 0;
}

herr_t truncate_disk(H5FD_t* file, hid_t, hbool_t) {
  Disk* disk = disk_of(file);
  if (disk->end_allocated == disk->end_written) return 0;
  if (ftruncate(disk->fd, static_cast<off_t>(disk->end_allocated)) != 0) note(disk);
  disk->end_written = disk->end_allocated;
  return 0;
}

hid_t driver() {
  static const hid_t id = [] {
    H5FD_class_t c{};
#if H5_VERSION_GE(1, 13, 0)
    c.version = H5FD_CLASS_VERSION;
    c.value = static_cast<H5FD_class_value_t>(601);
#endif
    c.name = "nnm_disk";
    c.maxaddr = kMaxAddress;
    c.fc_degree = H5F_CLOSE_STRONG;
    c.fapl_size = sizeof(Info);
    c.open = open_disk;
    c.close = close_disk;
    c.query = features;
    c.get_eoa = end_allocated;
    c.set_eoa = set_end_allocated;
    c.get_eof = end_written;
    c.read = read_disk;
    c.write = write_disk;
    c.truncate = truncate_disk;
    std::fill(std::begin(c.fl_map), std::end(c.fl_map), H5FD_MEM_DEFAULT);
    const H5FD_mem_t shared[] = H5FD_FLMAP_DICHOTOMY;
    std::copy(std::begin(shared), std::end(shared), c.fl_map);
    return H5FDregister(&c);
  }();
  return id;
}

}  // namespace

bool use_disk(hid_t access, DiskState& state) {
  const Info info{&state};
  return H5Pset_driver(access, driver(), &info) >= 0;
}

}  // namespace nnm::io
