/* A library to preload, under which the calendar's clock jumps by years at every look. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

static long jump(void) {
  static const long years[] = {0, 12, -30, 1, -1, 40};
  static int look;
  return years[__atomic_fetch_add(&look, 1, __ATOMIC_RELAXED) % 6] * 31556952L;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t clock, struct timespec* now) {
  const int done = REAL(clock_gettime)(clock, now);
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += jump();
  return done;
}

int gettimeofday(struct timeval* now, void* zone) {
  const int done = REAL(gettimeofday)(now, zone);
  now->tv_sec += jump();
  return done;
}

time_t time(time_t* into) {
  const time_t now = REAL(time)(NULL) + jump();
  if (into) *into = now;
  return now;
}
