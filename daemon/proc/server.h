// SPDX-License-Identifier: GPL-2.0-only
// Who a process is.
#pragma once

#include "model/connection.h"

#include <functional>
#include <string>

namespace fusewb::proc {

/// Executable and systemd unit of a process. What cannot be told is empty: the process may be
/// gone, or (without CAP_SYS_PTRACE) somebody else's.
///
/// The process is held by a pidfd while it is looked at; still is asked after that, and if its
/// answer is no, the number was another process's all the time and nothing is told of it.
///
/// root is where the executable's path is looked up, to compare the file there with the one that
/// runs: a path alone can be of a file that was put in its place, or of another mount namespace.
model::Server identify(pid_t pid, const std::string &root, const std::function<bool()> &still);

} // namespace fusewb::proc
