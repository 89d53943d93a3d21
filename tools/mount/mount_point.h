// SPDX-License-Identifier: GPL-2.0-only
// The mount point: is it fit to be one, mount on it, take the mount away again.
#pragma once

#include "mount/command_line.h"
#include "mount/failure.h"

#include <string>

namespace fusewb {

struct MountPoint {
    std::string path; // absolute, without symbolic links
    unsigned type;    // S_IFDIR or S_IFREG
};

// For as long as it lives the process is in the mount namespace that -N named. Processes started
// meanwhile stay there, so the server is started outside.
class NamespaceVisit {
public:
    NamespaceVisit() = default;
    ~NamespaceVisit();
    NamespaceVisit(const NamespaceVisit &) = delete;
    NamespaceVisit &operator=(const NamespaceVisit &) = delete;

    // `name` is a pid or the path of a namespace file; empty: stay. Fails with ExitCode::system.
    Status enter(const std::string &name);

private:
    int home_ = -1;
    int directory_ = -1; // entering a namespace moves the working directory
};

// Fails with ExitCode::mount_failure if nothing can be mounted there.
Result<MountPoint> find_mount_point(const std::string &directory);

// Fails if the topmost mount there is the same file system already. Other mounts are covered, as
// mount(2) does. `mountinfo` is the path of a file in the format of /proc/self/mountinfo.
Status check_not_mounted(const Request &request, const MountPoint &point,
                         const std::string &mountinfo);

// Calls mount(2). `device` is the open device; `user` and `group` will own the connection.
Status mount_file_system(const Request &request, const MountPoint &point, int device, unsigned user,
                         unsigned group);

// Changes the VFS flags of an existing mount, all that a remount can change.
Status remount_file_system(const Request &request);

// Takes the topmost mount away, also if it is in use. Never waits for a server.
void detach_mount(const MountPoint &point);

} // namespace fusewb
