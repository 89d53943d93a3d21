// SPDX-License-Identifier: GPL-2.0-only
// Mounting for a user who may not: fusewbd has it done, if polkit lets the user. The mount point
// and its mount namespace go there as descriptors.
#pragma once

#include "mount/command_line.h"
#include "mount/failure.h"
#include "mount/mount_point.h"

namespace fusewb {

// The options as the daemon takes them. Fails with ExitCode::usage for one that is for root only.
Result<std::string> user_options(const MountOptions &options);

// Mounts on `point` for the caller; `device` is the open device. May take as long as a person takes
// over a password.
Status mount_for_user(const Request &request, const MountPoint &point, int device, unsigned group);

// Takes the caller's mount away. Waits for its data to be with the server before, unless `lazily`.
Status unmount_for_user(const std::string &directory, bool lazily);

} // namespace fusewb
