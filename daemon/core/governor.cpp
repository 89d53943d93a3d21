// SPDX-License-Identifier: GPL-2.0-only
#include "core/governor.h"

#include "base/log.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace fusewb::core {

namespace {

// last: how rules saw it before, if they did. A file system that was unmounted, but is still in
// use, stays what it was.
policy::Subject subjectOf(const model::Connection &connection,
                          const std::optional<policy::Subject> &last) {
    policy::Subject subject;
    subject.executable = connection.server.executable;
    subject.executableDoubt = connection.server.executableDoubt;
    subject.user = connection.kernel.serverUid;
    subject.group = connection.kernel.serverGid;
    subject.unit = connection.server.unit;
    subject.subtype = connection.kernel.subtype;
    subject.mountPoints =
        connection.mountPoints.empty() && last ? last->mountPoints : connection.mountPoints;
    return subject;
}

// Those values of wanted that are not so already. What the kernel does not tell of it does not
// know, and is not told.
policy::Values differences(const policy::Values &wanted, const policy::Values &is) {
    policy::Values differing;
    for (const policy::Description &description : policy::settings()) {
        const auto value = wanted.get(description.setting);
        const auto now = is.get(description.setting);
        if (value && now && *value != *now)
            differing.set(description.setting, *value);
    }
    return differing;
}

// A module that is older than a value does not tell it, and takes none for it.
Outcome known(const policy::Values &values, const policy::Values &is) {
    for (const policy::Description &description : policy::settings())
        if (values.get(description.setting) && !is.get(description.setting))
            return Failure{"the module that is loaded does not know " +
                               std::string(description.key),
                           EOPNOTSUPP};
    return done();
}

Failure gone(model::ConnectionId id) {
    return {"connection " + std::to_string(id) + " is gone", ENOENT};
}

// Logs each. Return: all of them, a line each.
std::string report(const std::vector<policy::RuleError> &errors) {
    std::string all;
    for (const policy::RuleError &error : errors) {
        log::error(error.text());
        all += (all.empty() ? "" : "\n") + error.text();
    }
    return all;
}

} // namespace

Governor::Governor(kernel::Link &link, model::Registry &registry, const policy::Accounts &accounts,
                   std::vector<std::string> directories, Store store)
    : link_(link), registry_(registry), accounts_(accounts), directories_(std::move(directories)),
      store_(std::move(store)), defaultsByHand_(store_.loadDefaults()) {}

void Governor::load() {
    policy::RuleSet set = policy::readRules(directories_, accounts_);
    if (!set.errors.empty()) {
        report(set.errors);
        if (auto kept = store_.loadRules(accounts_)) {
            log::error("the rules that were in force stay in force");
            rules_ = std::move(*kept);
            return;
        }
    }
    take(std::move(set.rules));
    log::debug("rules in force: ", rules_.size());
}

// Rules that cannot be kept are in force for as long as the daemon runs.
void Governor::take(std::vector<policy::Rule> rules) {
    rules_ = std::move(rules);
    if (const Outcome kept = store_.saveRules(rules_); !kept)
        log::warning(kept.failure().what);
}

Outcome Governor::reload() {
    policy::RuleSet set = policy::readRules(directories_, accounts_);
    if (!set.errors.empty()) {
        const std::string all = report(set.errors);
        log::error("the rules that were in force stay in force");
        return Failure{all, EINVAL};
    }
    take(std::move(set.rules));
    log::info("rules in force: ", rules_.size());
    applyAll();
    return done();
}

void Governor::synchronised(const model::Defaults &defaults,
                            const std::vector<model::KernelFacts> &all) {
    if (std::exchange(there_, true)) {
        adoptDefaults(defaults);
    } else {
        defaults_ = defaults;
        restoreDefaults();
    }
    store_.prune(all);
    std::erase_if(governed_,
                  [this](const auto &entry) { return registry_.find(entry.first) == nullptr; });
    for (const model::KernelFacts &facts : all)
        seen(facts.id);
    applyAll();
}

void Governor::moduleGone() {
    there_ = false;
    defaults_ = {};
    governed_.clear();
    store_.prune({});
}

void Governor::defaultsChanged(const model::Defaults &changes) {
    adoptDefaults(changes);
    applyAll();
}

model::Defaults Governor::defaultsByHandWith(const model::Defaults &changes) const {
    model::Defaults byHand = defaultsByHand_;
    byHand.privileged.add(differences(changes.privileged, defaults_.privileged));
    byHand.others.add(differences(changes.others, defaults_.others));
    return byHand;
}

// Whoever told the kernel: it is as good as set here.
void Governor::adoptDefaults(const model::Defaults &changes) {
    const model::Defaults byHand = defaultsByHandWith(changes);
    if (byHand != defaultsByHand_) {
        defaultsByHand_ = byHand;
        if (const Outcome kept = store_.saveDefaults(byHand); !kept)
            log::warning(kept.failure().what);
    }
    defaults_.privileged.add(changes.privileged);
    defaults_.others.add(changes.others);
}

// A module that is loaded has the defaults that it was built with.
void Governor::restoreDefaults() {
    const model::Defaults changes{differences(defaultsByHand_.privileged, defaults_.privileged),
                                  differences(defaultsByHand_.others, defaults_.others)};
    if (changes == model::Defaults())
        return;
    if (const Outcome set = link_.setDefaults(changes); !set) {
        log::warning("the default policies that were set by hand are not in force: ",
                     set.failure().what);
        return;
    }
    defaults_.privileged.add(changes.privileged);
    defaults_.others.add(changes.others);
}

void Governor::seen(model::ConnectionId id) {
    const model::Connection *connection = registry_.find(id);
    if (!connection)
        return;
    const Governed &state = governed(connection->kernel);
    if (!state.subject || *state.subject != subjectOf(*connection, state.subject)) {
        if (const Outcome applied = apply(id); !applied)
            log::warning({{"FUSEWB_CONNECTION", std::to_string(id)}}, "connection ", id, ": ",
                         applied.failure().what);
    } else if (!differences(state.wanted, connection->kernel.policy).empty()) {
        adopt(id);
    }
}

void Governor::surroundingsChanged() {
    std::vector<model::ConnectionId> ids;
    for (const auto &[id, connection] : registry_.connections())
        ids.push_back(id);
    for (const model::ConnectionId id : ids)
        seen(id);
}

void Governor::removed(model::ConnectionId id) {
    governed_.erase(id);
    if (const model::Connection *connection = registry_.find(id))
        if (const Outcome forgotten = store_.save(connection->kernel, {}); !forgotten)
            log::warning(forgotten.failure().what);
}

Outcome Governor::set(model::ConnectionId id, const policy::Values &values) {
    const model::Connection *connection = registry_.find(id);
    if (!connection)
        return gone(id);
    if (Outcome understood = known(values, connection->kernel.policy); !understood)
        return understood;
    policy::Values byHand = governed(connection->kernel).byHand;
    byHand.add(values);
    return change(connection->kernel, byHand);
}

Outcome Governor::reset(model::ConnectionId id, const std::vector<policy::Setting> &settings) {
    const model::Connection *connection = registry_.find(id);
    if (!connection)
        return gone(id);
    policy::Values byHand = governed(connection->kernel).byHand;
    if (settings.empty())
        byHand = {};
    for (const policy::Setting setting : settings)
        byHand.clear(setting);
    return change(connection->kernel, byHand);
}

// What cannot be kept is not put in force, and what is not in force is not kept.
Outcome Governor::change(const model::KernelFacts &facts, const policy::Values &byHand) {
    if (Outcome kept = store_.save(facts, byHand); !kept)
        return kept;
    Governed &state = governed(facts);
    const policy::Values before = std::exchange(state.byHand, byHand);
    Outcome applied = apply(facts.id);
    if (!applied) {
        state.byHand = before;
        if (const Outcome kept = store_.save(facts, before); !kept)
            log::warning(kept.failure().what);
    }
    return applied;
}

Outcome Governor::hold(model::ConnectionId id, std::uint64_t key, const policy::Values &values,
                       std::string reason) {
    const model::Connection *connection = registry_.find(id);
    if (!connection)
        return gone(id);
    if (Outcome understood = known(values, connection->kernel.policy); !understood)
        return understood;
    Governed &state = governed(connection->kernel);
    state.holds.push_back({key, {{policy::Origin::Hold, std::move(reason)}, values}});
    Outcome applied = apply(id);
    if (!applied)
        state.holds.pop_back();
    return applied;
}

void Governor::release(model::ConnectionId id, std::uint64_t key) {
    const auto state = governed_.find(id);
    if (state == governed_.end())
        return;
    std::erase_if(state->second.holds, [key](const Hold &hold) { return hold.key == key; });
    if (const Outcome applied = apply(id); !applied && applied.failure().error != ENOENT)
        log::warning({{"FUSEWB_CONNECTION", std::to_string(id)}}, "connection ", id, ": ",
                     applied.failure().what);
}

// As change() does for a connection.
Outcome Governor::setDefaults(const model::Defaults &changes) {
    const model::Defaults byHand = defaultsByHandWith(changes);
    if (Outcome kept = store_.saveDefaults(byHand); !kept)
        return kept;
    if (Outcome set = link_.setDefaults(changes); !set) {
        if (const Outcome kept = store_.saveDefaults(defaultsByHand_); !kept)
            log::warning(kept.failure().what);
        return set;
    }
    defaultsByHand_ = byHand;
    defaultsChanged(changes);
    return done();
}

Result<Governor::Explanation> Governor::explain(model::ConnectionId id) const {
    const model::Connection *connection = registry_.find(id);
    const auto state = governed_.find(id);
    if (!connection || state == governed_.end())
        return gone(id);
    return Explanation{policy::decide(rules_, subjectOf(*connection, state->second.subject)),
                       {connection->kernel.policy, connection->sources}};
}

Governor::Governed &Governor::governed(const model::KernelFacts &facts) {
    const auto [entry, fresh] = governed_.try_emplace(facts.id);
    if (fresh)
        entry->second.byHand = store_.load(facts);
    return entry->second;
}

Governor::Explanation Governor::work(const model::Connection &connection,
                                     const Governed &state) const {
    Explanation result{policy::decide(rules_, subjectOf(connection, state.subject)), {}};
    std::vector<policy::Layer> layers;
    layers.push_back({{policy::Origin::Default, ""},
                      connection.kernel.privileged ? defaults_.privileged : defaults_.others});
    if (const policy::Rule *rule = result.decision.rule)
        layers.push_back({{policy::Origin::Rule, rule->name}, rule->values});
    layers.push_back({{policy::Origin::Set, ""}, state.byHand});
    for (const Hold &hold : state.holds)
        layers.push_back(hold.layer);
    result.effective = policy::merge(layers);
    return result;
}

// Makes the kernel do what holds. The registry shows it on return.
Outcome Governor::apply(model::ConnectionId id) {
    const model::Connection *connection = registry_.find(id);
    if (!connection)
        return gone(id);
    Governed &state = governed(connection->kernel);
    const Explanation result = work(*connection, state);
    const policy::Values changes = differences(result.effective.values, connection->kernel.policy);
    state.subject = subjectOf(*connection, state.subject);
    if (!changes.empty()) {
        if (connection->kernel.state == model::State::Aborted)
            return done();
        if (Outcome set = link_.set(id, changes); !set) {
            if (set.failure().error == ENOENT) // its removal is on the way
                return gone(id);
            return set;
        }
        const auto facts = link_.fetch(id);
        if (facts)
            registry_.apply(*facts);
    }
    state.wanted = result.effective.values;
    registry_.decided(id, result.decision.rule ? result.decision.rule->name : std::string(),
                      result.effective.sources);
    return done();
}

void Governor::applyAll() {
    std::vector<model::ConnectionId> ids;
    for (const auto &[id, connection] : registry_.connections())
        ids.push_back(id);
    for (const model::ConnectionId id : ids)
        if (const Outcome applied = apply(id); !applied && applied.failure().error != ENOENT)
            log::warning({{"FUSEWB_CONNECTION", std::to_string(id)}}, "connection ", id, ": ",
                         applied.failure().what);
}

// Somebody else told the kernel something: that is as good as set here. The news may be older than
// what the daemon told it since, so the kernel is asked.
void Governor::adopt(model::ConnectionId id) {
    const auto facts = link_.fetch(id);
    if (!facts)
        return;
    registry_.apply(*facts);
    Governed &state = governed(*facts);
    for (const policy::Description &description : policy::settings()) {
        const auto is = facts->policy.get(description.setting);
        const auto wanted = state.wanted.get(description.setting);
        if (is && wanted && *is != *wanted)
            state.byHand.set(description.setting, *is);
    }
    if (const Outcome kept = store_.save(*facts, state.byHand); !kept)
        log::warning(kept.failure().what);
    if (const Outcome applied = apply(id); !applied && applied.failure().error != ENOENT)
        log::warning({{"FUSEWB_CONNECTION", std::to_string(id)}}, "connection ", id, ": ",
                     applied.failure().what);
}

} // namespace fusewb::core
