// SPDX-License-Identifier: GPL-2.0-only
// The mount table of a mount namespace, as far as a device's mount points go.
#pragma once

#include "base/result.h"

#include <cstdio>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace fusewb::proc {

/// st_dev of a file system to its mount points, in the order they were mounted.
using MountPoints = std::map<dev_t, std::vector<std::string>>;

/// Reads a stream in the format of proc_pid_mountinfo(5). Mount points come out as paths, with
/// the octal escapes undone. A line that is not of that format is passed over.
Result<MountPoints> readMountinfo(std::FILE *stream, const std::string &name);

/// The same from a file, usually /proc/PID/mountinfo.
Result<MountPoints> readMountinfo(const std::string &path);

} // namespace fusewb::proc
