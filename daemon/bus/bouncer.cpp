// SPDX-License-Identifier: GPL-2.0-only
#include "bus/bouncer.h"

#include <algorithm>
#include <array>

namespace fusewb::bus {

namespace {

constexpr std::string_view manager = "org.fusewb1.Manager";
constexpr std::string_view connection = "org.fusewb1.Connection";

struct Entry {
    std::string_view interface;
    std::string_view member;
    Access access;
};

// Methods, and properties that can be written. That properties can be read by all is for the bus's
// own policy to say (org.fusewb.conf).
constexpr std::array table{
    Entry{manager, "ListConnections", Access::Look},
    Entry{manager, "FindConnectionByMountPoint", Access::Look},
    Entry{manager, "FindConnectionByServerPid", Access::Look},
    Entry{manager, "ListRules", Access::Inspect},
    Entry{manager, "Explain", Access::Inspect},
    Entry{manager, "Mount", Access::Mount},
    Entry{manager, "Unmount", Access::ManageOwn},
    Entry{manager, "Reload", Access::Manage},
    Entry{manager, "SetDefaultPolicy", Access::Manage},
    Entry{manager, "PrivilegedPolicy", Access::Write},
    Entry{manager, "OthersPolicy", Access::Write},
    Entry{connection, "ListRequests", Access::Inspect},
    Entry{connection, "Abort", Access::ManageOwn},
    Entry{connection, "SetPolicy", Access::Manage},
    Entry{connection, "ResetPolicy", Access::Manage},
    Entry{connection, "HoldPolicy", Access::Manage},
    Entry{connection, "WritebackPolicy", Access::Write},
    Entry{connection, "WritebackDeadlineUSec", Access::Write},
    Entry{connection, "MetadataDeadlineUSec", Access::Write},
    Entry{connection, "ReadDeadlineUSec", Access::Write},
    Entry{connection, "LockDeadlineUSec", Access::Write},
    Entry{connection, "RequestDeadlineUSec", Access::Write},
    Entry{connection, "DeadlineAction", Access::Write},
    Entry{connection, "RetryUSec", Access::Write},
    Entry{connection, "SyncWaits", Access::Write},
    Entry{connection, "MaxDirtyRatio", Access::Write},
    Entry{connection, "StrictLimit", Access::Write},
    Entry{connection, "MaxWriteSize", Access::Write},
    Entry{connection, "SpliceFolios", Access::Write},
    Entry{connection, "ForceWritebackCache", Access::Write},
};

// The actions of packaging/polkit.
const char *actionFor(Access access) {
    switch (access) {
    case Access::Look:
    case Access::Inspect:
        return "org.fusewb1.inspect";
    case Access::ManageOwn:
        return "org.fusewb1.manage-own-connection";
    case Access::Mount:
        return "org.fusewb1.mount";
    case Access::Manage:
    case Access::Write:
        break;
    }
    return "org.fusewb1.manage-policy";
}

// What the member asks of this caller; ManageOwn is for the owner only.
std::optional<Access> accessOf(const Caller &caller, std::string_view interface,
                               std::string_view member, std::optional<uid_t> owner) {
    auto access = accessFor(interface, member);
    if (access == Access::ManageOwn && owner != caller.uid)
        access = Access::Manage;
    return access;
}

std::optional<sdbus::Error> errorOf(Verdict verdict, Access access, std::string_view member) {
    // What nobody restricts may be inspected; only root changes anything then.
    if (verdict == Verdict::Nobody && access == Access::Inspect)
        return std::nullopt;
    switch (verdict) {
    case Verdict::Yes:
        return std::nullopt;
    case Verdict::AfterQuestion:
        return interactionRequired(std::string(member) + " needs a password to be given");
    case Verdict::Nobody:
    case Verdict::No:
        break;
    }
    return accessDenied(std::string(member) + " is not allowed to you");
}

} // namespace

std::optional<Access> accessFor(std::string_view interface, std::string_view member) {
    const auto found = std::find_if(table.begin(), table.end(), [&](const Entry &entry) {
        return entry.interface == interface && entry.member == member;
    });
    if (found == table.end())
        return std::nullopt;
    return found->access;
}

void Bouncer::ask(const Caller &caller, std::string_view interface, std::string_view member,
                  std::optional<uid_t> owner,
                  std::function<void(std::optional<sdbus::Error>)> answer) {
    const auto access = accessOf(caller, interface, member, owner);
    if (!access || *access == Access::Write) {
        answer(errorOf(Verdict::No, Access::Manage, member));
    } else if (*access == Access::Look || caller.uid == 0) {
        answer(std::nullopt);
    } else {
        authority_->ask(caller, actionFor(*access),
                        [answer = std::move(answer), access = *access, name = std::string(member)](
                            Verdict verdict) { answer(errorOf(verdict, access, name)); });
    }
}

void Bouncer::require(const Caller &caller, std::string_view interface, std::string_view property) {
    if (accessFor(interface, property) == Access::Write && caller.uid == 0)
        return;
    const char *method = interface == manager ? "SetDefaultPolicy()" : "SetPolicy()";
    throw accessDenied("only root writes " + std::string(property) + "; " + method +
                       " asks polkit whether you may");
}

} // namespace fusewb::bus
