// SPDX-License-Identifier: GPL-2.0-only
// What differs between sdbus-c++ 1 and 2, under one name. Nothing but this file tells them apart.
#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <string>

namespace fusewb::bus::compat {

#if __has_include(<sdbus-c++/VTableItems.h>) // since version 2

using ErrorName = sdbus::Error::Name;
using InterfaceName = sdbus::InterfaceName;
using PropertyName = sdbus::PropertyName;
using ServiceName = sdbus::ServiceName;

inline bool processOne(sdbus::IConnection &connection) { return connection.processPendingEvent(); }

#else

using ErrorName = std::string;
using InterfaceName = std::string;
using PropertyName = std::string;
using ServiceName = std::string;

inline bool processOne(sdbus::IConnection &connection) {
    return connection.processPendingRequest();
}

#endif

} // namespace fusewb::bus::compat
