// For LD_PRELOAD: shifts the wall clock and CLOCK_BOOTTIME of a process by what a shared file says, so that a test can let
// the clock jump, or a suspend pass, while the process runs. MODELGUARD_TEST_CLOCK names the file: two 64-bit numbers of
// microseconds, added to CLOCK_REALTIME and to CLOCK_BOOTTIME. Timers that are armed already do not hear of a jump of
// CLOCK_BOOTTIME before the process wakes for something else, as after a suspend a process wakes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MOST_FDS 4096
enum { WALL, BOOT };

static const volatile int64_t* offsets;
static unsigned char is_boottime[MOST_FDS];  // of timer descriptors

__attribute__((constructor)) static void open_offsets(void) {
    const char* path = getenv("MODELGUARD_TEST_CLOCK");
    const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void* mapped = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) offsets = mapped;
    close(fd);
}

static int64_t offset_usec(clockid_t clock) {
    if (!offsets) return 0;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI) return offsets[WALL];
    return clock == CLOCK_BOOTTIME || clock == CLOCK_BOOTTIME_ALARM ? offsets[BOOT] : 0;
}

static void shift(struct timespec* time, int64_t usec) {
    int64_t nsec = time->tv_nsec + usec % 1000000 * 1000;
    time->tv_sec += usec / 1000000 + (nsec < 0 ? -1 : nsec >= 1000000000 ? 1 : 0);
    time->tv_nsec = nsec < 0 ? nsec + 1000000000 : nsec >= 1000000000 ? nsec - 1000000000 : nsec;
}

int clock_gettime(clockid_t clock, struct timespec* time) {
    static int (*real)(clockid_t, struct timespec*);
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, "clock_gettime");
    const int result = real(clock, time);
    if (result == 0) shift(time, offset_usec(clock));
    return result;
}

time_t time(time_t* into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval* restrict time, void* restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

int timerfd_create(int clock, int flags) {
    static int (*real)(int, int);
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, "timerfd_create");
    const int fd = real(clock, flags);
    if (fd >= 0 && fd < MOST_FDS) is_boottime[fd] = clock == CLOCK_BOOTTIME || clock == CLOCK_BOOTTIME_ALARM;
    return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec* wanted, struct itimerspec* old) {
    static int (*real)(int, int, const struct itimerspec*, struct itimerspec*);
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, "timerfd_settime");
    struct itimerspec due = *wanted;
    const int is_set = due.it_value.tv_sec != 0 || due.it_value.tv_nsec != 0;
    if ((flags & TFD_TIMER_ABSTIME) && is_set && fd >= 0 && fd < MOST_FDS && is_boottime[fd]) {
        shift(&due.it_value, -offset_usec(CLOCK_BOOTTIME));
        if (due.it_value.tv_sec < 0 || (due.it_value.tv_sec == 0 && due.it_value.tv_nsec == 0))
            due.it_value = (struct timespec){0, 1};  // past: at once
    }
    return real(fd, flags, &due, old);
}
