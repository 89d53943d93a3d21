// SPDX-License-Identifier: GPL-2.0-only
#include "model/registry.h"

#include <algorithm>
#include <set>

namespace fusewb::model {

namespace {

// The same number may stand for another connection after the module was loaded anew.
bool sameConnection(const KernelFacts &a, const KernelFacts &b) {
    return a.id == b.id && a.load == b.load;
}

// A state only moves on, so facts with an earlier one were on their way for longer.
bool older(const KernelFacts &facts, const KernelFacts &known) {
    return facts.state != State::Unknown && known.state != State::Unknown &&
           facts.state < known.state;
}

std::vector<Field> differences(const Connection &a, const Connection &b) {
    std::vector<Field> fields;
    const auto note = [&fields](bool differs, Field field) {
        if (differs)
            fields.push_back(field);
    };
    note(a.kernel.state != b.kernel.state, Field::State);
    note(a.kernel.writeback != b.kernel.writeback, Field::Writeback);
    note(a.kernel.serverPid != b.kernel.serverPid, Field::ServerPid);
    note(a.kernel.serverUid != b.kernel.serverUid, Field::ServerUid);
    note(a.server.executable != b.server.executable, Field::ServerExecutable);
    note(a.server.unit != b.server.unit, Field::ServerUnit);
    note(a.kernel.subtype != b.kernel.subtype, Field::Subtype);
    note(a.kernel.protocolMinor != b.kernel.protocolMinor, Field::ProtocolMinor);
    note(a.kernel.maxWrite != b.kernel.maxWrite, Field::MaxWrite);
    note(a.kernel.maxRead != b.kernel.maxRead, Field::MaxRead);
    note(a.mountPoints != b.mountPoints, Field::MountPoints);
    note(a.kernel.abortReason != b.kernel.abortReason, Field::AbortReason);
    note(a.rule != b.rule, Field::Rule);
    note(a.sources != b.sources, Field::Sources);
    for (const policy::Description &description : policy::settings())
        note(a.kernel.policy.get(description.setting) != b.kernel.policy.get(description.setting),
             fieldOf(description.setting));
    return fields;
}

} // namespace

void Registry::synchronise(const ModuleInfo &module, const std::vector<KernelFacts> &all) {
    std::set<ConnectionId> alive;
    for (const KernelFacts &facts : all) {
        const Connection *known = find(facts.id);
        if (!known || sameConnection(known->kernel, facts))
            alive.insert(facts.id);
    }
    std::vector<ConnectionId> gone;
    for (const auto &[id, connection] : connections_) {
        if (!alive.contains(id))
            gone.push_back(id);
    }
    for (ConnectionId id : gone)
        remove(id);

    if (module_ != module) {
        module_ = module;
        if (observer_)
            observer_->moduleChanged();
    }
    for (const KernelFacts &facts : all)
        apply(facts);
}

void Registry::moduleGone() {
    while (!connections_.empty())
        remove(connections_.begin()->first);
    if (!module_)
        return;
    module_.reset();
    if (observer_)
        observer_->moduleChanged();
}

void Registry::apply(const KernelFacts &facts) {
    const auto found = connections_.find(facts.id);
    if (found == connections_.end()) {
        add(facts);
        return;
    }
    Connection &known = found->second;
    if (older(facts, known.kernel))
        return;
    // A process keeps its number over exec(2), so the server is looked at again when the
    // connection becomes ready; later it may be gone, and what was known of it stays.
    const bool look = facts.serverPid != 0 && (known.kernel.serverPid != facts.serverPid ||
                                               known.kernel.state != facts.state);
    Connection now = known;
    now.kernel = facts;
    if (look) {
        Server server = surroundings_.serverOf(facts);
        if (!server.executable.empty() || known.kernel.serverPid != facts.serverPid)
            now.server = std::move(server);
    }
    update(known, std::move(now));
}

void Registry::remove(ConnectionId id) {
    if (connections_.erase(id) != 0 && observer_)
        observer_->connectionRemoved(id);
}

void Registry::decided(ConnectionId id, std::string rule,
                       const std::array<policy::Source, policy::settingCount> &sources) {
    const auto found = connections_.find(id);
    if (found == connections_.end())
        return;
    Connection now = found->second;
    now.rule = std::move(rule);
    now.sources = sources;
    update(found->second, std::move(now));
}

void Registry::mountsChanged() {
    for (auto &[id, connection] : connections_) {
        Connection now = connection;
        now.mountPoints = surroundings_.mountPointsOf(now.kernel.device);
        update(connection, std::move(now));
    }
}

const Connection *Registry::find(ConnectionId id) const {
    const auto found = connections_.find(id);
    return found == connections_.end() ? nullptr : &found->second;
}

const Connection *Registry::findByMountPoint(std::string_view path) const {
    while (path.size() > 1 && path.back() == '/')
        path.remove_suffix(1);
    const auto found =
        std::find_if(connections_.rbegin(), connections_.rend(), [path](const auto &entry) {
            const auto &points = entry.second.mountPoints;
            return std::find(points.begin(), points.end(), path) != points.end();
        });
    return found == connections_.rend() ? nullptr : &found->second;
}

const Connection *Registry::findByServerPid(pid_t pid) const {
    if (pid <= 0)
        return nullptr;
    const auto found =
        std::find_if(connections_.rbegin(), connections_.rend(),
                     [pid](const auto &entry) { return entry.second.kernel.serverPid == pid; });
    return found == connections_.rend() ? nullptr : &found->second;
}

void Registry::add(const KernelFacts &facts) {
    Connection connection;
    connection.kernel = facts;
    connection.server = surroundings_.serverOf(facts);
    connection.mountPoints = surroundings_.mountPointsOf(facts.device);
    const auto added = connections_.emplace(facts.id, std::move(connection)).first;
    if (observer_)
        observer_->connectionAdded(added->second);
}

void Registry::update(Connection &known, Connection now) {
    const std::vector<Field> fields = differences(known, now);
    known = std::move(now);
    if (!fields.empty() && observer_)
        observer_->connectionChanged(known, fields);
}

} // namespace fusewb::model
