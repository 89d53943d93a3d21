// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/encode.h"

#include <linux/fusewb.h>

namespace fusewb::kernel {

namespace {

using policy::Setting;

constexpr std::uint64_t millisecond = 1000;

constexpr std::array<PolicyAttribute, policy::settingCount> table{{
    // The choices begin with "copy"; that of the kernel before it is no policy.
    {Setting::Writeback, FUSEWB_A_POLICY_WRITEBACK, true, 1, FUSEWB_WRITEBACK_COPY},
    {Setting::WritebackDeadline, FUSEWB_A_POLICY_DEADLINE_WRITEBACK, true, millisecond, 0},
    {Setting::MetadataDeadline, FUSEWB_A_POLICY_DEADLINE_METADATA, true, millisecond, 0},
    {Setting::ReadDeadline, FUSEWB_A_POLICY_DEADLINE_READ, true, millisecond, 0},
    {Setting::LockDeadline, FUSEWB_A_POLICY_DEADLINE_LOCK, true, millisecond, 0},
    {Setting::RequestDeadline, FUSEWB_A_POLICY_DEADLINE_ALL, true, millisecond, 0},
    {Setting::DeadlineAction, FUSEWB_A_POLICY_ACTION, true, 1, FUSEWB_ACTION_REPORT},
    {Setting::Retry, FUSEWB_A_POLICY_RETRY, true, millisecond, 0},
    {Setting::SyncWaits, FUSEWB_A_POLICY_SYNC_WAITS, false, 1, 0},
    {Setting::MaxDirtyRatio, FUSEWB_A_POLICY_MAX_DIRTY_RATIO, true, 1, 0},
    {Setting::StrictLimit, FUSEWB_A_POLICY_STRICT_LIMIT, false, 1, 0},
    {Setting::MaxWriteSize, FUSEWB_A_POLICY_MAX_WRITE, true, 1, 0},
    {Setting::SpliceFolios, FUSEWB_A_POLICY_SPLICE_FOLIOS, false, 1, 0},
    {Setting::ForceWritebackCache, FUSEWB_A_POLICY_FORCE_WRITEBACK_CACHE, false, 1, 0},
}};

static_assert([] {
    for (std::size_t i = 0; i < table.size(); ++i)
        if (static_cast<std::size_t>(table[i].setting) != i)
            return false;
    return true;
}());

} // namespace

const std::array<PolicyAttribute, policy::settingCount> &policyAttributes() { return table; }

Attribute encodePolicy(int type, const policy::Values &values) {
    std::vector<Attribute> nest;
    for (const PolicyAttribute &attribute : table) {
        const auto value = values.get(attribute.setting);
        if (!value)
            continue;
        const std::uint64_t number = *value / attribute.unit + attribute.offset;
        if (attribute.wide)
            nest.push_back({attribute.type, static_cast<std::uint32_t>(number)});
        else
            nest.push_back({attribute.type, static_cast<std::uint8_t>(number)});
    }
    return {type, std::move(nest)};
}

} // namespace fusewb::kernel
