// SPDX-License-Identifier: GPL-2.0-only
// Policies as a{sv}: the settings by the names of their properties.
#pragma once

#include "bus/sdbus.h"
#include "policy/setting.h"

#include <map>
#include <string>

namespace fusewb::bus {

using Variants = std::map<std::string, sdbus::Variant>;

Variants toVariants(const policy::Values &values);

/// Throws InvalidArgument, with what would be right, if a name, type or value is not.
policy::Values fromVariants(const Variants &variants);

/// The number behind the choice of that name; throws likewise.
std::uint64_t choice(policy::Setting setting, const std::string &name);

/// The name of a choice.
std::string choiceName(policy::Setting setting, std::uint64_t value);

} // namespace fusewb::bus
