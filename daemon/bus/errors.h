// SPDX-License-Identifier: GPL-2.0-only
// The errors of the interface. They are thrown inside of a method, where the library turns them
// into the reply, or given to an answer that comes later; none gets further.
#pragma once

#include "base/result.h"
#include "bus/sdbus.h"

#include <cerrno>
#include <string>

namespace fusewb::bus {

inline sdbus::Error makeError(const char *name, const std::string &what) {
    return {compat::ErrorName(name), what};
}

inline sdbus::Error notFound(const std::string &what) {
    return makeError("org.fusewb1.Error.NotFound", what);
}

inline sdbus::Error invalidArgument(const std::string &what) {
    return makeError("org.fusewb1.Error.InvalidArgument", what);
}

inline sdbus::Error invalidRules(const std::string &what) {
    return makeError("org.fusewb1.Error.InvalidRules", what);
}

inline sdbus::Error accessDenied(const std::string &what) {
    return makeError("org.freedesktop.DBus.Error.AccessDenied", what);
}

inline sdbus::Error interactionRequired(const std::string &what) {
    return makeError("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", what);
}

/// The error for a failure of the core, by its errno.
inline sdbus::Error errorFor(const Failure &failure) {
    switch (failure.error) {
    case ENOENT:
        return notFound(failure.what);
    case EINVAL:
    case ERANGE:
        return invalidArgument(failure.what);
    case EDQUOT:
        return makeError("org.fusewb1.Error.TooMany", failure.what);
    case ENODEV:
        return makeError("org.fusewb1.Error.NotLoaded", failure.what);
    default:
        return makeError("org.fusewb1.Error.Refused", failure.what);
    }
}

} // namespace fusewb::bus
