// SPDX-License-Identifier: GPL-2.0-only
// umount(8) refuses users by itself, unless libmount's table of what the kernel does not know has
// the name of a helper for the mount, which it then runs as the user: umount.fusewb-user, which is
// mount.fusewb by another name, and asks fusewbd. The note gives nobody a right.
#pragma once

#include "base/result.h"

#include <string>
#include <sys/types.h>

namespace fusewb::mounter {

/// The table of the mount namespace that this process was made in. A mount namespace with another
/// /run may be anything, and has no table that one would write as root. A change takes two seconds
/// at most, after which it has failed.
class HelperNotes {
public:
    /// Remembers which /run that is.
    HelperNotes();

    /// Notes the helper for a mount, of which the mount table has this source and mount point.
    Outcome add(const std::string &source, const std::string &point) const;

    /// Forgets what is noted for the mount point; nothing may be.
    Outcome remove(const std::string &point) const;

private:
    bool foreign() const;

    dev_t device_ = 0;
    ino_t inode_ = 0;
};

} // namespace fusewb::mounter
