// SPDX-License-Identifier: GPL-2.0-only
// The -o string, split by who each option is for: the VFS, the module, this helper, the server.
#pragma once

#include "mount/failure.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fusewb {

struct Option {
    std::string name;
    std::optional<std::string> value; // none for "name", empty for "name="; quotes removed
    std::string raw;                  // as the user wrote it
};

struct MountOptions {
    unsigned long vfs_flags = 0; // MS_* for mount(2)
    bool remount = false;
    std::string module;  // "default_permissions,max_read=..." for mount(2), without fd= and ids
    std::string server;  // for the server's own -o
    std::string setuid;  // run the server as this user; empty: as the caller
    std::string fsname;  // shown as the source instead of SPEC; empty: SPEC
    std::string subtype; // shown after "fusewb."; empty: the server's name
};

// Splits at commas. A comma in double quotes or after a backslash belongs to the value: fstab
// writes the first, libfuse's own parser understands the second.
std::vector<Option> split_options(std::string_view text);

// Sorts the options. Fails with ExitCode::usage for one that cannot be honoured.
Result<MountOptions> sort_options(const std::vector<Option> &options);

} // namespace fusewb
