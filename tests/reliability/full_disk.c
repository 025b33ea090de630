/* Loaded before libc (LD_PRELOAD): from the k-th write below a folder on, the disk is full, or takes half of each.

   Counts what changes a disk: write, pwrite, fsync, fdatasync, ftruncate, rename, and an open that makes a file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long seen, first = -1, last = -1;
static int halves;
static char folder[PATH_MAX];

/* Fails the writes number `from` to `to` (from 1; -1: none) below `below`; gives how many there were since the last call. */
long disk_is_full(const char *below, long from, long to) {
    long before = seen;
    strncpy(folder, below, sizeof folder - 1);
    seen = 0, first = from, last = to;
    return before;
}

/* From now on what is to fail takes half of what is written, and all else is done. */
void take_halves(void) { halves = 1; }

static int is_due(const char *path) {
    if (!folder[0] || strncmp(path, folder, strlen(folder))) return 0;
    seen++;
    return first >= 0 && seen >= first && seen <= last;
}

static int is_due_for(int file) {
    char link[64], path[PATH_MAX] = "";
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, path, sizeof path - 1) < 0) { errno = kept; return 0; }
    return is_due(path);
}

static int full(void) { errno = ENOSPC; return -1; }
static int fails(const char *path) { return is_due(path) && !halves && full(); }
static int fails_for(int file) { return is_due_for(file) && !halves && full(); }
static size_t room(int file, size_t wanted) { return !is_due_for(file) ? wanted : halves ? (wanted + 1) / 2 : 0; }

#define NEXT(name) static __typeof__(&name) next; if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define WRITE(name, ...) { NEXT(name); size_t m = room(f, n); return n && !m ? full() : next(f, b, m, ##__VA_ARGS__); }
ssize_t write(int f, const void *b, size_t n) WRITE(write)
ssize_t pwrite(int f, const void *b, size_t n, off_t o) WRITE(pwrite, o)
ssize_t pwrite64(int f, const void *b, size_t n, off64_t o) WRITE(pwrite64, o)
int fsync(int f) { NEXT(fsync); return fails_for(f) ? -1 : next(f); }
int fdatasync(int f) { NEXT(fdatasync); return fails_for(f) ? -1 : next(f); }
int ftruncate(int f, off_t n) { NEXT(ftruncate); return fails_for(f) ? -1 : next(f, n); }
int ftruncate64(int f, off64_t n) { NEXT(ftruncate64); return fails_for(f) ? -1 : next(f, n); }
int rename(const char *a, const char *b) { NEXT(rename); return fails(b) ? -1 : next(a, b); }

#define OPEN(name) int name(const char *path, int flags, ...) { \
    NEXT(name); va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
    return (flags & O_CREAT) && access(path, F_OK) && fails(path) ? -1 : next(path, flags, mode); }
OPEN(open)
OPEN(open64)
