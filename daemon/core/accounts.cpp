// SPDX-License-Identifier: GPL-2.0-only
#include "core/accounts.h"

#include <grp.h>
#include <pwd.h>

namespace fusewb::core {

std::optional<uid_t> SystemAccounts::user(const std::string &name) const {
    const passwd *entry = getpwnam(name.c_str());
    return entry ? std::optional<uid_t>(entry->pw_uid) : std::nullopt;
}

std::optional<gid_t> SystemAccounts::group(const std::string &name) const {
    const ::group *entry = getgrnam(name.c_str());
    return entry ? std::optional<gid_t>(entry->gr_gid) : std::nullopt;
}

} // namespace fusewb::core
