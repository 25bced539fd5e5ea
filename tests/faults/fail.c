/* A library to preload, that lets system calls fail on the files of one folder.
 *
 *   NNM_FAIL_UNDER   the folder (absolute, without links)
 *   NNM_FAIL         CALL:N:ERRNO   the Nth call of CALL fails, and those after it do not
 *                    CALL:N+:ERRNO  so do those after it
 *                    CALL:half      every write writes at most half of what is asked
 *                    CALL:EINTR     every other call is interrupted before it does anything
 *   NNM_FAIL_LOG     a file that gets a line "CALL PATH" for each call seen, and "FAILED CALL PATH"
 *
 * CALL: open (for writing), write, fsync, close (of what was opened for writing), rename, ftruncate,
 * mkdir, symlink, unlink, read. The pwrite and 64-bit forms count with them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
  const char *under, *log;
  char call[16];
  long at, seen;
  int error, onwards, half, interrupt;
} plan;

__attribute__((constructor)) static void read_plan(void) {
  plan.under = getenv("NNM_FAIL_UNDER");
  plan.log = getenv("NNM_FAIL_LOG");
  const char* text = getenv("NNM_FAIL");
  if (!text) return;
  char how[16] = "";
  sscanf(text, "%15[a-z]:%15[^:]:%d", plan.call, how, &plan.error);
  plan.half = strcmp(how, "half") == 0;
  plan.interrupt = strcmp(how, "EINTR") == 0;
  plan.at = atol(how);
  plan.onwards = strchr(how, '+') != NULL;
}

/* Not through the functions below. */
static void say(const char* prefix, const char* call, const char* path) {
  if (!plan.log) return;
  char line[4500];
  const int n = snprintf(line, sizeof line, "%s%s %s\n", prefix, call, path);
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, plan.log, O_WRONLY | O_CREAT | O_APPEND, 0666);
  if (fd < 0) return;
  syscall(SYS_write, fd, line, n);
  syscall(SYS_close, fd);
}

static int is_under(const char* path) {
  const size_t n = plan.under ? strlen(plan.under) : 0;
  return n && strncmp(path, plan.under, n) == 0 && (path[n] == '/' || !path[n]);
}

/* The path of a descriptor, or "" where it is not of the folder. */
static const char* path_of(int fd, char* buffer) {
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, buffer, 4095);
  buffer[n > 0 ? n : 0] = 0;
  return is_under(buffer) ? buffer : "";
}

static const char* absolute(const char* path, char* buffer) {
  if (path[0] == '/') return is_under(path) ? path : "";
  if (!getcwd(buffer, 2048) || strlen(path) > 2000) return "";
  strcat(strcat(buffer, "/"), path);
  return is_under(buffer) ? buffer : "";
}

static int for_writing(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT); }

/* Whether this call is one to fail; errno is set then. */
static int fails(const char* call, const char* path) {
  if (!path[0]) return 0;
  const int before = errno;
  say("", call, path);
  errno = before;
  if (strcmp(call, plan.call) != 0) return 0;
  const long now = ++plan.seen;
  if (plan.interrupt && now % 2 == 1) {
    errno = EINTR;
    return 1;
  }
  if (plan.at == 0 || (plan.onwards ? now < plan.at : now != plan.at)) return 0;
  say("FAILED ", call, path);
  errno = plan.error;
  return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                        \
  int name(const char* path, int flags, ...) {                            \
    va_list rest;                                                         \
    va_start(rest, flags);                                                \
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                         \
    char buffer[4200];                                                    \
    if (for_writing(flags) && fails("open", absolute(path, buffer))) return -1; \
    return REAL(name)(path, flags, mode);                                 \
  }
OPEN(open)
OPEN(open64)

static size_t share(size_t n) { return plan.half && strcmp(plan.call, "write") == 0 && n > 1 ? n / 2 : n; }

ssize_t write(int fd, const void* data, size_t n) {
  char buffer[4200];
  const char* path = path_of(fd, buffer);
  if (fails("write", path)) return -1;
  return REAL(write)(fd, data, path[0] ? share(n) : n);
}

#define PWRITE(name, offset_type)                                         \
  ssize_t name(int fd, const void* data, size_t n, offset_type at) {      \
    char buffer[4200];                                                    \
    const char* path = path_of(fd, buffer);                               \
    if (fails("write", path)) return -1;                                  \
    return REAL(name)(fd, data, path[0] ? share(n) : n, at);              \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t read(int fd, void* data, size_t n) {
  char buffer[4200];
  return fails("read", path_of(fd, buffer)) ? -1 : REAL(read)(fd, data, n);
}

#define PREAD(name, offset_type)                                          \
  ssize_t name(int fd, void* data, size_t n, offset_type at) {            \
    char buffer[4200];                                                    \
    return fails("read", path_of(fd, buffer)) ? -1 : REAL(name)(fd, data, n, at); \
  }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

#define ON_DESCRIPTOR(name, call)                                         \
  int name(int fd) {                                                      \
    char buffer[4200];                                                    \
    return fails(call, path_of(fd, buffer)) ? -1 : REAL(name)(fd);        \
  }
ON_DESCRIPTOR(fsync, "fsync")
ON_DESCRIPTOR(fdatasync, "fsync")

int close(int fd) {
  char buffer[4200];
  const char* path = path_of(fd, buffer);
  const int written = path[0] && for_writing(fcntl(fd, F_GETFL));
  /* What cannot be closed is closed all the same, as on Linux. */
  const int failed = written && fails("close", path);
  const int error = errno;
  const int done = REAL(close)(fd);
  if (!failed) return done;
  errno = error;
  return -1;
}

#define TRUNCATE(name, offset_type)                                       \
  int name(int fd, offset_type size) {                                    \
    char buffer[4200];                                                    \
    return fails("ftruncate", path_of(fd, buffer)) ? -1 : REAL(name)(fd, size); \
  }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int rename(const char* from, const char* to) {
  char buffer[4200];
  return fails("rename", absolute(to, buffer)) ? -1 : REAL(rename)(from, to);
}

int mkdir(const char* path, mode_t mode) {
  char buffer[4200];
  return fails("mkdir", absolute(path, buffer)) ? -1 : REAL(mkdir)(path, mode);
}

int symlink(const char* target, const char* path) {
  char buffer[4200];
  return fails("symlink", absolute(path, buffer)) ? -1 : REAL(symlink)(target, path);
}

int unlink(const char* path) {
  char buffer[4200];
  return fails("unlink", absolute(path, buffer)) ? -1 : REAL(unlink)(path);
}

/* The C library's own calls unlink where nobody can come between. */
int remove(const char* path) {
  char buffer[4200];
  return fails("unlink", absolute(path, buffer)) ? -1 : REAL(remove)(path);
}
