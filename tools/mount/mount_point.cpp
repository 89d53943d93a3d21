// SPDX-License-Identifier: GPL-2.0-only
#include "mount/mount_point.h"

#include "mount/module_state.h"

#include <libmount.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace fusewb {
namespace {

Failure mount_failure(std::string cause, std::string remedy) {
    return {ExitCode::mount_failure, std::move(cause), std::move(remedy)};
}

// Why a mount point cannot be looked at.
Failure explain_path(const std::string &directory, int error) {
    switch (error) {
    case ENOENT:
        return mount_failure("mount point " + directory + " does not exist",
                             "create it: mkdir -p " + directory);
    case ENOTCONN:
    case ECONNABORTED:
        return mount_failure(directory + " holds a mount whose server is gone",
                             "take it away: umount " + directory);
    default:
        return mount_failure("mount point " + directory + ": " + std::strerror(error),
                             "choose another mount point");
    }
}

Failure explain_mount(const Request &request, const MountPoint &point, int error) {
    switch (error) {
    case EPERM:
    case EACCES:
        return {ExitCode::usage, "no permission to mount on " + point.path,
                "mount as root, outside of any container"};
    case ENODEV:
        return explain_missing_module(load_module());
    case EINVAL:
        return mount_failure(
            "the kernel refused the mount options '" + request.options.module + "'", "see: dmesg");
    case EBUSY:
        return mount_failure("mount point " + point.path + " is busy",
                             "choose another mount point");
    default:
        return mount_failure("mounting on " + point.path + " failed: " + std::strerror(error),
                             "see: dmesg");
    }
}

} // namespace

NamespaceVisit::~NamespaceVisit() {
    if (home_ < 0)
        return;
    // Going on in the wrong namespace could mount or detach the wrong thing.
    if (setns(home_, CLONE_NEWNS) != 0 || fchdir(directory_) != 0)
        std::abort();
    close(home_);
    close(directory_);
}

Status NamespaceVisit::enter(const std::string &name) {
    if (name.empty())
        return std::monostate{};
    const bool is_pid =
        std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    const std::string path = is_pid ? "/proc/" + name + "/ns/mnt" : name;
    const int there = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    const int directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    const bool entered =
        there >= 0 && home >= 0 && directory >= 0 && setns(there, CLONE_NEWNS) == 0;
    const int error = errno;
    if (there >= 0)
        close(there);
    if (entered) {
        home_ = home;
        directory_ = directory;
        return std::monostate{};
    }
    for (int fd : {home, directory})
        if (fd >= 0)
            close(fd);
    return Failure{ExitCode::system,
                   "cannot enter the mount namespace " + name + ": " + std::strerror(error),
                   "name a pid or a file such as /proc/PID/ns/mnt after -N"};
}

Result<MountPoint> find_mount_point(const std::string &directory) {
    char path[PATH_MAX];
    struct stat status {};
    if (!realpath(directory.c_str(), path) || stat(path, &status) != 0)
        return explain_path(directory, errno);
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
        return mount_failure("mount point " + directory + " is neither a directory nor a file",
                             "choose a directory");
    return MountPoint{path, status.st_mode & S_IFMT};
}

Status check_not_mounted(const Request &request, const MountPoint &point,
                         const std::string &mountinfo) {
    std::unique_ptr<libmnt_table, decltype(&mnt_unref_table)> table(
        mnt_new_table_from_file(mountinfo.c_str()), mnt_unref_table);
    // Without /proc there is nothing to compare with; mount(2) itself has no objection.
    libmnt_fs *top =
        table ? mnt_table_find_target(table.get(), point.path.c_str(), MNT_ITER_BACKWARD) : nullptr;
    if (!top)
        return std::monostate{};
    auto text = [](const char *string) { return std::string_view(string ? string : ""); };
    if (text(mnt_fs_get_fstype(top)) == request.type() &&
        text(mnt_fs_get_source(top)) == request.shown_source())
        return mount_failure(request.shown_source() + " is already mounted on " + point.path,
                             "to mount it anew: umount " + point.path);
    return std::monostate{};
}

Status mount_file_system(const Request &request, const MountPoint &point, int device, unsigned user,
                         unsigned group) {
    unsigned long flags = request.options.vfs_flags;
    // A server that is not root's could otherwise hand out set-user-id programs and device nodes.
    if (user != 0)
        flags |= MS_NOSUID | MS_NODEV;
    const std::string data = module_data(request, device, point.type, user, group);
    if (mount(request.shown_source().c_str(), point.path.c_str(), request.type().c_str(), flags,
              data.c_str()) != 0)
        return explain_mount(request, point, errno);
    return std::monostate{};
}

Status remount_file_system(const Request &request) {
    if (mount("none", request.directory.c_str(), nullptr, request.options.vfs_flags, nullptr) != 0)
        return mount_failure("remounting " + request.directory + " failed: " + std::strerror(errno),
                             "umount it, and mount it with the new options");
    return std::monostate{};
}

void detach_mount(const MountPoint &point) {
    umount2(point.path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
}

} // namespace fusewb
