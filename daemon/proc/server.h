// SPDX-License-Identifier: GPL-2.0-only
// Who a process is.
#pragma once

#include "model/connection.h"

namespace fusewb::proc {

/// Executable and systemd unit of a process. What cannot be told is empty: the process may be
/// gone, or (without CAP_SYS_PTRACE) somebody else's.
model::Server identify(pid_t pid);

} // namespace fusewb::proc
