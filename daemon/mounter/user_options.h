// SPDX-License-Identifier: GPL-2.0-only
// The mount options that a user may choose.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fusewb::mounter {

struct UserOptions {
    std::uint64_t attributes = 0; // MOUNT_ATTR_*, those that are forced among them
    bool readOnly = false;
    std::vector<std::pair<std::string, std::string>> parameters; // for the module; no value: empty
};

/// Sorts options with commas between. A failure has EINVAL, or EPERM for one that exists but is not
/// for users, and names the option.
Result<UserOptions> sortUserOptions(std::string_view text);

} // namespace fusewb::mounter
