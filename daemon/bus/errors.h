// SPDX-License-Identifier: GPL-2.0-only
// The errors of the interface. They are thrown inside of a method, where the library turns them
// into the reply; none gets further.
#pragma once

#include "bus/sdbus.h"

#include <string>

namespace fusewb::bus {

inline sdbus::Error notFound(const std::string &what) {
    return {compat::ErrorName("org.fusewb1.Error.NotFound"), what};
}

inline sdbus::Error invalidArgument(const std::string &what) {
    return {compat::ErrorName("org.fusewb1.Error.InvalidArgument"), what};
}

} // namespace fusewb::bus
