// SPDX-License-Identifier: GPL-2.0-only
// The family's messages as values. Nothing here trusts a length, a type or the presence of an
// attribute: a message that is not what <linux/fusewb.h> says is a Failure.
#pragma once

#include "base/result.h"
#include "model/connection.h"

#include <cstddef>
#include <string>

struct nlmsghdr;

namespace fusewb::kernel {

/// Whether size bytes at message hold a whole netlink message with a generic netlink header.
bool wellFormed(const nlmsghdr *message, std::size_t size);

/// The command of a well-formed message.
int command(const nlmsghdr *message);

/// A FUSEWB_CMD_INFO_GET reply of size bytes.
Result<model::ModuleInfo> decodeInfo(const nlmsghdr *message, std::size_t size);

/// A FUSEWB_CMD_CONN_GET reply or an event about a connection of size bytes. A counter that is
/// absent is 0; a value of the policy that is absent, or newer than this daemon, is left out.
Result<model::KernelFacts> decodeConnection(const nlmsghdr *message, std::size_t size);

/// A FUSEWB_CMD_POLICY_GET reply or FUSEWB_CMD_POLICY_CHANGED of size bytes; a default that is
/// not told of is empty.
Result<model::Defaults> decodeDefaults(const nlmsghdr *message, std::size_t size);

/// A FUSEWB_CMD_REQUEST_GET reply of size bytes.
Result<model::Request> decodeRequest(const nlmsghdr *message, std::size_t size);

/// A FUSEWB_CMD_DEADLINE_EXPIRED of size bytes.
Result<model::Expiry> decodeExpiry(const nlmsghdr *message, std::size_t size);

/// The family that a CTRL_CMD_NEWFAMILY or CTRL_CMD_DELFAMILY message of size bytes is about.
Result<std::string> decodeFamilyName(const nlmsghdr *message, std::size_t size);

} // namespace fusewb::kernel
