// SPDX-License-Identifier: GPL-2.0-only
#include "mounter/helper_note.h"

#include "mounter/message.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <memory>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fusewb::mounter {

namespace {

constexpr const char *run = "/run";

struct Free {
    void operator()(libmnt_update *update) const { mnt_free_update(update); }
    void operator()(libmnt_fs *fs) const { mnt_unref_fs(fs); }
};

// Longer than mount(8) ever has the table to itself.
constexpr int patienceMSec = 2000;

Outcome failed(int error) {
    return Failure{
        std::string("the table for umount(8) cannot be written: ") + std::strerror(error), error};
}

// One change: the mount that is new, or the mount point that is none any more. Returns an errno.
int update(libmnt_fs *added, const char *removed) {
    // The table is for everybody to read, and so is the directory that it may be the first in.
    umask(022);
    const std::unique_ptr<libmnt_update, Free> change(mnt_new_update());
    if (!change)
        return ENOMEM;
    // More than 0: there is nothing to write.
    if (const int error = mnt_update_set_fs(change.get(), 0, removed, added); error != 0)
        return error < 0 ? -error : EINVAL;
    const int error = mnt_update_table(change.get(), nullptr);
    // Some of libmount's own are no errno.
    return error == 0 ? 0 : error < 0 && error > -256 ? -error : EIO;
}

// The same within bounds: the table's lock can be taken and kept by everybody who can read it.
Outcome updateSoon(libmnt_fs *added, const char *removed) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return failed(errno);
    const Descriptor end(ends[0]);
    Descriptor held(ends[1]);
    const pid_t child = fork();
    if (child < 0)
        return failed(errno);
    if (child == 0)
        _exit(update(added, removed));
    held = Descriptor();
    // Nothing is ever written; it is readable once the child has ended.
    pollfd ended{end.get(), POLLIN, 0};
    if (poll(&ended, 1, patienceMSec) == 0)
        kill(child, SIGKILL);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status))
        return failed(ETIMEDOUT);
    return WEXITSTATUS(status) == 0 ? done() : failed(WEXITSTATUS(status));
}

} // namespace

HelperNotes::HelperNotes() {
    struct stat status {};
    if (stat(run, &status) == 0) {
        device_ = status.st_dev;
        inode_ = status.st_ino;
    }
}

bool HelperNotes::foreign() const {
    struct stat status {};
    return stat(run, &status) < 0 || status.st_dev != device_ || status.st_ino != inode_;
}

Outcome HelperNotes::add(const std::string &source, const std::string &point) const {
    if (foreign())
        return done();
    const std::unique_ptr<libmnt_fs, Free> fs(mnt_new_fs());
    if (!fs)
        return failed(ENOMEM);
    int error = mnt_fs_set_source(fs.get(), source.c_str());
    if (error == 0)
        error = mnt_fs_set_target(fs.get(), point.c_str());
    if (error == 0)
        error = mnt_fs_set_fstype(fs.get(), "fusewb");
    if (error == 0)
        error = mnt_fs_set_options(fs.get(), "uhelper=fusewb-user");
    return error != 0 ? failed(-error) : updateSoon(fs.get(), nullptr);
}

Outcome HelperNotes::remove(const std::string &point) const {
    return foreign() ? done() : updateSoon(nullptr, point.c_str());
}

} // namespace fusewb::mounter
