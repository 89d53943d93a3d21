// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: work NAME FILE_OR_DIRECTORY AMOUNT [COMMAND]
 *
 * Does one piece of work of the benchmark, or has a shell do the command in the directory, and
 * prints how many bytes or files it was, how many seconds it took, how many CPU seconds of the whole
 * machine, and how many context switches. The clock starts behind all preparation and stops when
 * the data are as safe as the work asks for.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KIB 1024ul
#define MIB (1024 * KIB)

static char *buffer;

/* What the machine has done until now. */
struct moment {
    double seconds;
    double idle_seconds; /* of all CPUs together */
    unsigned long switches;
};

static struct moment now(void)
{
    struct moment moment = {0};
    struct timespec ts;
    char line[256];
    FILE *file;

    file = fopen("/proc/uptime", "r");
    if (!file || fscanf(file, "%*f %lf", &moment.idle_seconds) != 1)
        err(1, "/proc/uptime");
    fclose(file);
    file = fopen("/proc/stat", "r");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "ctxt %lu", &moment.switches) == 1)
            break;
    if (!moment.switches)
        err(1, "/proc/stat");
    fclose(file);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    moment.seconds = ts.tv_sec + ts.tv_nsec / 1e9;
    return moment;
}

static void report(size_t amount, struct moment start)
{
    struct moment end = now();
    double seconds = end.seconds - start.seconds;
    double idle = end.idle_seconds - start.idle_seconds;

    printf("%zu %.9f %.6f %lu\n", amount, seconds, seconds * sysconf(_SC_NPROCESSORS_ONLN) - idle,
           end.switches - start.switches);
}

/* The same numbers in every run, so that every file system gets the same work. */
static uint64_t random_number(void)
{
    static uint64_t state = 88172645463325252ull;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int open_file(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);

    if (fd < 0)
        err(1, "%s", path);
    return fd;
}

static void write_at(int fd, size_t size, off_t pos)
{
    if (pwrite(fd, buffer, size, pos) != (ssize_t)size)
        err(1, "pwrite of %zu bytes", size);
}

static void sync_file(int fd, int data_only)
{
    if (data_only ? fdatasync(fd) : fsync(fd))
        err(1, data_only ? "fdatasync" : "fsync");
}

static void sequential(int fd, size_t size, size_t amount)
{
    size_t done;

    for (done = 0; done < amount; done += size)
        write_at(fd, size, done);
    sync_file(fd, 0);
}

/* Half of it each, to files of their own. */
static void two_sequential(const char *path, int fd, size_t amount)
{
    pid_t child = fork();
    int status;

    if (child < 0)
        err(1, "fork");
    if (!child) {
        char other[256];

        snprintf(other, sizeof(other), "%s.other", path);
        sequential(open_file(other, O_RDWR | O_CREAT | O_TRUNC), MIB, amount / 2);
        _exit(0);
    }
    sequential(fd, MIB, amount / 2);
    if (waitpid(child, &status, 0) != child || status)
        errx(1, "the other writer failed");
}

static void rewrite_log(int fd, size_t amount)
{
    size_t done;

    for (done = 0; done < amount; done += 64 * KIB) {
        write_at(fd, 64 * KIB, 0);
        sync_file(fd, 1);
    }
}

static void append_journal(int fd, size_t amount)
{
    size_t done;

    for (done = 0; done < amount; done += 100) {
        write_at(fd, 100, done);
        sync_file(fd, 1);
    }
}

/* A file of @span bytes that is there, and cold. */
static void lay_out(int fd, size_t span)
{
    sequential(fd, MIB, span);
    if (posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
        errx(1, "posix_fadvise");
}

/*
 * Forgotten behind the client as well: in how large folios a file system has a file is the work of
 * who wrote it, and what writing into them costs follows from it.
 */
static void forget_all(void)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

    if (fd < 0 || write(fd, "1", 1) != 1)
        err(1, "drop_caches");
    close(fd);
}

static void scatter(int fd, size_t size, size_t amount, size_t span, int sync_each)
{
    size_t done;

    for (done = 0; done < amount; done += size) {
        write_at(fd, size, random_number() % (span / size) * size);
        if (sync_each)
            sync_file(fd, 0);
    }
    if (!sync_each)
        sync_file(fd, 0);
}

static void map_write(int fd, size_t amount)
{
    char *map = mmap(NULL, amount, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED)
        err(1, "mmap");
    memset(map, 'm', amount);
    if (msync(map, amount, MS_SYNC))
        err(1, "msync");
    munmap(map, amount);
}

static void read_all(int fd, size_t amount)
{
    size_t done;
    ssize_t got;

    for (done = 0; done < amount; done += got) {
        got = pread(fd, buffer, MIB, done);
        if (got <= 0)
            err(1, "pread");
    }
}

static void small_files(const char *directory, size_t amount)
{
    char name[256];
    struct stat st;
    size_t i;

    for (i = 0; i < amount; i++) {
        snprintf(name, sizeof(name), "%s/%zu", directory, i);
        int fd = open_file(name, O_WRONLY | O_CREAT | O_EXCL);

        write_at(fd, 100, 0);
        close(fd);
    }
    for (i = 0; i < amount; i++) {
        snprintf(name, sizeof(name), "%s/%zu", directory, i);
        if (stat(name, &st) || st.st_size != 100)
            err(1, "%s", name);
    }
    for (i = 0; i < amount; i++) {
        snprintf(name, sizeof(name), "%s/%zu", directory, i);
        if (unlink(name))
            err(1, "%s", name);
    }
}

static void command(const char *line)
{
    if (system(line))
        errx(1, "failed: %s", line);
}

static int is(const char *a, const char *b)
{
    return !strcmp(a, b);
}

int main(int argc, char **argv)
{
    struct moment start;
    const char *name, *path;
    size_t amount;
    int fd = -1;

    if (argc != 4 && argc != 5)
        errx(2, "usage: work NAME FILE_OR_DIRECTORY AMOUNT [COMMAND]");
    name = argv[1];
    path = argv[2];
    amount = strtoul(argv[3], NULL, 10);
    buffer = aligned_alloc(4096, MIB);
    if (!buffer)
        err(1, "no memory");
    memset(buffer, 'w', MIB);

    if (argc == 4 && !is(name, "small-files"))
        fd = open_file(path, O_RDWR | O_CREAT | (is(name, "read-warm") || is(name, "read-cold") ? 0 : O_TRUNC));
    if (is(name, "rewrite-64k"))
        sequential(fd, 64 * KIB, 64 * KIB);
    else if (is(name, "random-1m") || is(name, "random-4k")) {
        lay_out(fd, (is(name, "random-1m") ? 4 : 16) * amount);
        forget_all();
    } else if (is(name, "map-write") && ftruncate(fd, amount))
        err(1, "ftruncate");
    else if (is(name, "read-cold")) {
        lay_out(fd, amount);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    } else if (is(name, "read-warm")) {
        lay_out(fd, amount);
        read_all(fd, amount);
    }

    if (argc == 5 && chdir(path))
        err(1, "%s", path);
    start = now();
    if (argc == 5)
        command(argv[4]);
    else if (is(name, "write-1m"))
        sequential(fd, MIB, amount);
    else if (is(name, "two-write-1m"))
        two_sequential(path, fd, amount);
    else if (is(name, "write-4k"))
        sequential(fd, 4 * KIB, amount);
    else if (is(name, "write-1k"))
        sequential(fd, KIB, amount);
    else if (is(name, "rewrite-64k"))
        rewrite_log(fd, amount);
    else if (is(name, "append-100"))
        append_journal(fd, amount);
    else if (is(name, "random-1m"))
        scatter(fd, MIB, amount, 4 * amount, 1);
    else if (is(name, "random-4k"))
        scatter(fd, 4 * KIB, amount, 16 * amount, 0);
    else if (is(name, "map-write"))
        map_write(fd, amount);
    else if (is(name, "read-cold") || is(name, "read-warm"))
        read_all(fd, amount);
    else if (is(name, "small-files"))
        small_files(path, amount);
    else
        errx(2, "no work is called %s", name);
    report(amount, start);
    return 0;
}
