// SPDX-License-Identifier: GPL-2.0-only
#include "support/layer_server.h"

#include <cerrno>
#include <memory>

#define FUSE_USE_VERSION 31
#include <fuse.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace fusewb::test {

namespace {

// The files are this directory's. A process has one, as it has one session.
std::string root;

std::string there(const char *path) { return root + path; }

int outcome(long result) { return result < 0 ? -errno : static_cast<int>(result); }

void *begin(fuse_conn_info *connection, fuse_config *config) {
    connection->want |= connection->capable & FUSE_CAP_WRITEBACK_CACHE;
    config->use_ino = 1;
    config->hard_remove = 1;
    return nullptr;
}

int list(const char *path, void *entries, fuse_fill_dir_t fill, off_t, fuse_file_info *,
         fuse_readdir_flags) {
    std::unique_ptr<DIR, int (*)(DIR *)> directory(opendir(there(path).c_str()), closedir);
    if (!directory)
        return -errno;
    while (const dirent *entry = readdir(directory.get())) {
        struct stat st = {};
        st.st_ino = entry->d_ino;
        st.st_mode = DTTOIF(entry->d_type);
        if (fill(entries, entry->d_name, &st, 0, fuse_fill_dir_flags{}))
            return -ENOMEM;
    }
    return 0;
}

int open_there(const char *path, int flags, mode_t mode, fuse_file_info *file) {
    // With the writeback cache the kernel reads where the user may not, and appends itself.
    flags &= ~O_APPEND;
    if ((flags & O_ACCMODE) == O_WRONLY)
        flags = (flags & ~O_ACCMODE) | O_RDWR;
    int fd = open(there(path).c_str(), flags, mode);
    if (fd < 0)
        return -errno;
    file->fh = static_cast<std::uint64_t>(fd);
    return 0;
}

int fd_of(const fuse_file_info *file) { return static_cast<int>(file->fh); }

int set_owner(const char *path, uid_t uid, gid_t gid, fuse_file_info *) {
    return outcome(lchown(there(path).c_str(), uid, gid));
}

int set_times(const char *path, const timespec times[2], fuse_file_info *) {
    return outcome(utimensat(AT_FDCWD, there(path).c_str(), times, AT_SYMLINK_NOFOLLOW));
}

int link_target(const char *path, char *target, size_t size) {
    ssize_t len = readlink(there(path).c_str(), target, size - 1);
    if (len < 0)
        return -errno;
    target[len] = '\0';
    return 0;
}

fuse_operations operations() {
    fuse_operations does{};
    does.init = begin;
    does.readdir = list;
    does.chown = set_owner;
    does.utimens = set_times;
    does.readlink = link_target;
    does.getattr = [](const char *path, struct stat *st, fuse_file_info *) {
        return outcome(lstat(there(path).c_str(), st));
    };
    does.statfs = [](const char *path, struct statvfs *st) {
        return outcome(statvfs(there(path).c_str(), st));
    };
    does.mknod = [](const char *path, mode_t mode, dev_t device) {
        return outcome(mknod(there(path).c_str(), mode, device));
    };
    does.mkdir = [](const char *path, mode_t mode) {
        return outcome(mkdir(there(path).c_str(), mode));
    };
    does.unlink = [](const char *path) { return outcome(unlink(there(path).c_str())); };
    does.rmdir = [](const char *path) { return outcome(rmdir(there(path).c_str())); };
    does.symlink = [](const char *target, const char *path) {
        return outcome(symlink(target, there(path).c_str()));
    };
    does.link = [](const char *from, const char *to) {
        return outcome(link(there(from).c_str(), there(to).c_str()));
    };
    does.rename = [](const char *from, const char *to, unsigned int flags) {
        return outcome(
            renameat2(AT_FDCWD, there(from).c_str(), AT_FDCWD, there(to).c_str(), flags));
    };
    does.chmod = [](const char *path, mode_t mode, fuse_file_info *) {
        return outcome(chmod(there(path).c_str(), mode));
    };
    does.truncate = [](const char *path, off_t size, fuse_file_info *) {
        return outcome(truncate(there(path).c_str(), size));
    };
    does.open = [](const char *path, fuse_file_info *file) {
        return open_there(path, file->flags, 0, file);
    };
    does.create = [](const char *path, mode_t mode, fuse_file_info *file) {
        return open_there(path, file->flags | O_CREAT, mode, file);
    };
    does.read = [](const char *, char *data, size_t size, off_t at, fuse_file_info *file) {
        return outcome(pread(fd_of(file), data, size, at));
    };
    does.write = [](const char *, const char *data, size_t size, off_t at, fuse_file_info *file) {
        return outcome(pwrite(fd_of(file), data, size, at));
    };
    does.fsync = [](const char *, int, fuse_file_info *file) {
        return outcome(fsync(fd_of(file)));
    };
    does.release = [](const char *, fuse_file_info *file) { return outcome(close(fd_of(file))); };
    does.setxattr = [](const char *path, const char *name, const char *value, size_t size,
                       int flags) {
        return outcome(lsetxattr(there(path).c_str(), name, value, size, flags));
    };
    does.getxattr = [](const char *path, const char *name, char *value, size_t size) {
        return outcome(lgetxattr(there(path).c_str(), name, value, size));
    };
    does.listxattr = [](const char *path, char *names, size_t size) {
        return outcome(llistxattr(there(path).c_str(), names, size));
    };
    does.removexattr = [](const char *path, const char *name) {
        return outcome(lremovexattr(there(path).c_str(), name));
    };
    return does;
}

} // namespace

int serve_layers(const std::string &directory, const std::string &mount_point) {
    root = directory;
    umask(0);
    const fuse_operations does = operations();
    std::string name = "layers", foreground = "-f", where = mount_point;
    char *arguments[] = {name.data(), foreground.data(), where.data(), nullptr};
    return fuse_main(3, arguments, &does, nullptr);
}

} // namespace fusewb::test
