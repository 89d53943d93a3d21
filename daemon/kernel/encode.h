// SPDX-License-Identifier: GPL-2.0-only
// Policies as the family carries them: which attribute a setting is, how wide and in which unit.
#pragma once

#include "kernel/attribute.h"
#include "policy/setting.h"

namespace fusewb::kernel {

/// How a setting goes over the wire: attribute = value / unit + offset.
struct PolicyAttribute {
    policy::Setting setting;
    int type;             // of enum fusewb_attr_policy
    bool wide;            // 32 bits, else 8
    std::uint64_t unit;   // what one is worth
    std::uint32_t offset; // what stands for 0
};

/// One for each setting, in their order.
const std::array<PolicyAttribute, policy::settingCount> &policyAttributes();

/// The nest of this type with those values there are. The values have been checked.
Attribute encodePolicy(int type, const policy::Values &values);

} // namespace fusewb::kernel
