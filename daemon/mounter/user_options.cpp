// SPDX-License-Identifier: GPL-2.0-only
#include "mounter/user_options.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/mount.h>

namespace fusewb::mounter {

namespace {

struct Flag {
    std::string_view name;
    std::uint64_t attribute;
};

// What only narrows what the mount can be used for. nosuid and nodev are forced in any case, so
// their names are known, and those of the contrary are not.
constexpr std::array flags{
    Flag{"ro", MOUNT_ATTR_RDONLY},
    Flag{"rw", 0},
    Flag{"noexec", MOUNT_ATTR_NOEXEC},
    Flag{"exec", 0},
    Flag{"noatime", MOUNT_ATTR_NOATIME},
    Flag{"relatime", 0},
    Flag{"nosuid", 0},
    Flag{"nodev", 0},
};

struct Parameter {
    std::string_view name;
    bool hasValue;
};

constexpr std::array parameters{
    Parameter{"default_permissions", false},
    Parameter{"max_read", true},
    Parameter{"blksize", true},
    Parameter{"writeback", true},
};

// With this one, other users' programs (and root's) could be made to wait for the user's server.
constexpr std::string_view forRootOnly = "allow_other";

Failure refused(std::string_view option) {
    const std::string text(option);
    if (option == forRootOnly)
        return {"the option " + text + " is for root only", EPERM};
    return {"the option " + text + " is none that a user can choose", EINVAL};
}

Outcome take(std::string_view option, UserOptions &sorted) {
    const auto flag = std::find_if(flags.begin(), flags.end(),
                                   [&](const Flag &each) { return each.name == option; });
    if (flag != flags.end()) {
        sorted.attributes |= flag->attribute;
        return done();
    }
    const std::size_t equals = option.find('=');
    const std::string_view name = option.substr(0, equals);
    const auto parameter = std::find_if(parameters.begin(), parameters.end(),
                                        [&](const Parameter &each) { return each.name == name; });
    if (parameter == parameters.end() || parameter->hasValue != (equals != option.npos))
        return refused(option);
    sorted.parameters.emplace_back(name, parameter->hasValue ? option.substr(equals + 1)
                                                             : std::string_view());
    return done();
}

} // namespace

Result<UserOptions> sortUserOptions(std::string_view text) {
    UserOptions sorted;
    sorted.attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    while (!text.empty()) {
        const std::size_t comma = text.find(',');
        const std::string_view option = text.substr(0, comma);
        text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
        if (option.empty())
            continue;
        if (Outcome taken = take(option, sorted); !taken)
            return taken.failure();
    }
    sorted.readOnly = (sorted.attributes & MOUNT_ATTR_RDONLY) != 0;
    return sorted;
}

} // namespace fusewb::mounter
