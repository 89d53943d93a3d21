// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: large TYPE BYTES BACKING MOUNT_POINT
 *
 * A server that asks for WRITEs of up to so many bytes: libfuse, and with it every server that is at
 * hand, takes 1 MiB at most. It mounts itself as that file system type, goes to the background, and
 * serves one file, "file", which is BACKING. When it is unmounted it prints the size of the largest
 * WRITE that it got.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_ID 2
#define VALID 3600 /* seconds */

static int device, backing;
static uint32_t max_write, largest;

static void reply(uint64_t unique, int error, const void *data, size_t size)
{
    struct fuse_out_header header = {sizeof(header) + size, error, unique};
    struct iovec parts[] = {{&header, sizeof(header)}, {(void *)data, size}};

    if (writev(device, parts, 2) < 0 && errno != ENOENT && errno != ENODEV)
        err(1, "an answer");
}

static struct fuse_attr attributes(uint64_t id)
{
    struct fuse_attr attr = {.ino = id, .mode = S_IFDIR | 0755, .nlink = 2, .blksize = 4096};
    struct stat st;

    if (id != FILE_ID)
        return attr;
    if (fstat(backing, &st))
        err(1, "fstat");
    attr.mode = S_IFREG | 0644;
    attr.nlink = 1;
    attr.size = st.st_size;
    attr.blocks = st.st_blocks;
    return attr;
}

static void serve_init(uint64_t unique, const struct fuse_init_in *in)
{
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION,
        .minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor : FUSE_KERNEL_MINOR_VERSION,
        .max_readahead = in->max_readahead,
        .flags = in->flags & (FUSE_WRITEBACK_CACHE | FUSE_BIG_WRITES | FUSE_MAX_PAGES |
                              FUSE_ASYNC_READ),
        .max_background = 64,
        .congestion_threshold = 48,
        .max_write = max_write,
        .time_gran = 1,
        .max_pages = max_write / 4096,
    };

    reply(unique, 0, &out, sizeof(out));
}

static void serve_attr(uint64_t unique, uint64_t id)
{
    struct fuse_attr_out out = {.attr_valid = VALID, .attr = attributes(id)};

    reply(unique, 0, &out, sizeof(out));
}

static void serve_lookup(uint64_t unique, const char *name)
{
    struct fuse_entry_out out = {.nodeid = FILE_ID, .entry_valid = VALID, .attr_valid = VALID};

    out.attr = attributes(FILE_ID);
    if (strcmp(name, "file"))
        reply(unique, -ENOENT, NULL, 0);
    else
        reply(unique, 0, &out, sizeof(out));
}

static void serve_write(uint64_t unique, const struct fuse_write_in *in)
{
    struct fuse_write_out out = {.size = in->size};

    if (in->size > largest)
        largest = in->size;
    if (pwrite(backing, in + 1, in->size, in->offset) != (ssize_t)in->size)
        err(1, "pwrite");
    reply(unique, 0, &out, sizeof(out));
}

static void serve_read(uint64_t unique, const struct fuse_read_in *in)
{
    void *data = malloc(in->size);
    ssize_t size = data ? pread(backing, data, in->size, in->offset) : -1;

    reply(unique, size < 0 ? -EIO : 0, data, size < 0 ? 0 : size);
    free(data);
}

static void serve(const struct fuse_in_header *header)
{
    const struct fuse_setattr_in *set = (const void *)(header + 1);
    uint64_t unique = header->unique;
    struct fuse_open_out open = {0};

    switch (header->opcode) {
    case FUSE_INIT:
        return serve_init(unique, (const void *)(header + 1));
    case FUSE_LOOKUP:
        return serve_lookup(unique, (const void *)(header + 1));
    case FUSE_SETATTR:
        if (set->valid & FATTR_SIZE && ftruncate(backing, set->size))
            err(1, "ftruncate");
        /* fall through */
    case FUSE_GETATTR:
        return serve_attr(unique, header->nodeid);
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        return reply(unique, 0, &open, sizeof(open));
    case FUSE_WRITE:
        return serve_write(unique, (const void *)(header + 1));
    case FUSE_READ:
        return serve_read(unique, (const void *)(header + 1));
    case FUSE_FSYNC:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        return reply(unique, 0, NULL, 0);
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
        return;
    default:
        reply(unique, -ENOSYS, NULL, 0);
    }
}

int main(int argc, char **argv)
{
    size_t size;
    char path[32], options[128];
    void *message;

    if (argc != 5)
        errx(2, "usage: large TYPE BYTES BACKING MOUNT_POINT");
    max_write = strtoul(argv[2], NULL, 0);
    size = max_write + 65536;
    message = malloc(size);
    snprintf(path, sizeof(path), "/dev/%s", argv[1]);
    device = open(path, O_RDWR | O_CLOEXEC);
    backing = open(argv[3], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (!message || device < 0 || backing < 0)
        err(1, "%s or %s", path, argv[3]);
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
             device);
    if (mount("large", argv[4], argv[1], MS_NOSUID | MS_NODEV, options))
        err(1, "mount of %s", argv[4]);
    if (daemon(0, 1))
        err(1, "daemon");
    for (;;) {
        ssize_t n = read(device, message, size);

        if (n < 0 && errno == ENODEV)
            break;
        if (n < 0 && errno != EINTR && errno != ENOENT && errno != EAGAIN)
            err(1, "read");
        if (n > 0)
            serve(message);
    }
    printf("%s: asked for WRITEs of %u bytes, the largest had %u\n", argv[1], max_write, largest);
    return 0;
}
