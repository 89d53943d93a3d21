// SPDX-License-Identifier: GPL-2.0-only
// The connections that live now. Takes facts from the kernel in whatever order they arrive, and
// tells one observer what became different.
#pragma once

#include "model/connection.h"

#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace fusewb::model {

/// Parts of a connection that may change while it lives. Counters change silently.
enum class Field {
    State,
    Writeback,
    ServerPid,
    ServerUid,
    ServerExecutable,
    ServerUnit,
    Subtype,
    ProtocolMinor,
    MaxWrite,
    MaxRead,
    MountPoints,
    AbortReason,
    Rule,
    Sources,
    FirstSetting, // and from here on those of the policy, see fieldOf()
};

constexpr Field fieldOf(policy::Setting setting) {
    return static_cast<Field>(static_cast<std::size_t>(Field::FirstSetting) +
                              static_cast<std::size_t>(setting));
}

/// Nothing if the field is no setting.
constexpr std::optional<policy::Setting> settingOf(Field field) {
    if (field < Field::FirstSetting)
        return std::nullopt;
    return static_cast<policy::Setting>(static_cast<std::size_t>(field) -
                                        static_cast<std::size_t>(Field::FirstSetting));
}

/// Answers what the kernel's messages leave open.
class Surroundings {
public:
    virtual ~Surroundings() = default;
    /// Who serves the connection. The kernel may know better by the time that is asked.
    virtual Server serverOf(const KernelFacts &facts) = 0;
    virtual std::vector<std::string> mountPointsOf(dev_t device) = 0;
};

/// Hears of every difference, after the registry shows it.
class Observer {
public:
    virtual ~Observer() = default;
    virtual void moduleChanged() = 0;
    virtual void connectionAdded(const Connection &connection) = 0;
    virtual void connectionChanged(const Connection &connection,
                                   const std::vector<Field> &fields) = 0;
    virtual void connectionRemoved(ConnectionId id) = 0;
};

class Registry {
public:
    using Connections = std::map<ConnectionId, Connection>;

    /// The surroundings must outlive the registry.
    explicit Registry(Surroundings &surroundings) : surroundings_(surroundings) {}

    /// The observer must outlive the registry or be replaced by null.
    void setObserver(Observer *observer) { observer_ = observer; }

    /// The module is there and these are all connections it has: what is not among them is gone.
    void synchronise(const ModuleInfo &module, const std::vector<KernelFacts> &all);

    /// The module is gone, and every connection with it.
    void moduleGone();

    /// News of one connection. Facts that are older than what is known (a connection never goes
    /// back from ready to init) are dropped.
    void apply(const KernelFacts &facts);

    /// What the values of the connection's policy come from.
    void decided(ConnectionId id, std::string rule,
                 const std::array<policy::Source, policy::settingCount> &sources);

    /// The connection is gone; an unknown one is none of our business.
    void remove(ConnectionId id);

    /// The mount table changed: asks the surroundings anew for every connection.
    void mountsChanged();

    const std::optional<ModuleInfo> &module() const { return module_; }
    const Connections &connections() const { return connections_; }

    /// Null if there is no such connection.
    const Connection *find(ConnectionId id) const;

    /// The connection mounted there; a trailing slash does not matter. The newest if the mount
    /// point carries several, since that is the one a path lookup ends in. Null if there is none.
    const Connection *findByMountPoint(std::string_view path) const;

    /// The connection this process serves, the newest if there are several. Null if none.
    const Connection *findByServerPid(pid_t pid) const;

private:
    void add(const KernelFacts &facts);
    void update(Connection &known, Connection now);

    Surroundings &surroundings_;
    Observer *observer_ = nullptr;
    std::optional<ModuleInfo> module_;
    Connections connections_;
};

} // namespace fusewb::model
