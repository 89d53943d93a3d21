// SPDX-License-Identifier: GPL-2.0-only
#include "bus/connection_object.h"

#include "bus/errors.h"
#include "bus/guarded.h"
#include "bus/values.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace fusewb::bus {

using policy::Setting;

namespace {

std::string propertyName(model::Field field) {
    if (const auto setting = model::settingOf(field))
        return std::string(policy::describe(*setting).property);
    switch (field) {
    case model::Field::State:
        return "State";
    case model::Field::Writeback:
        return "Writeback";
    case model::Field::ServerPid:
        return "ServerPid";
    case model::Field::ServerUid:
        return "ServerUid";
    case model::Field::ServerExecutable:
        return "ServerExecutable";
    case model::Field::ServerUnit:
        return "ServerUnit";
    case model::Field::Subtype:
        return "Subtype";
    case model::Field::ProtocolMinor:
        return "ProtocolMinor";
    case model::Field::MaxWrite:
        return "MaxWrite";
    case model::Field::MaxRead:
        return "MaxRead";
    case model::Field::AbortReason:
        return "AbortReason";
    case model::Field::Rule:
        return "Rule";
    case model::Field::Sources:
        return "PolicySources";
    case model::Field::MountPoints:
    case model::Field::FirstSetting:
        break;
    }
    return "MountPoints";
}

constexpr std::string_view pathPrefix = "/org/fusewb/connection/";

RequestRow rowOf(const model::Request &request) {
    return RequestRow{request.unique,
                      model::operationName(request.opcode),
                      std::string(name(request.operations)),
                      std::string(name(request.state)),
                      request.ageUSec,
                      request.nodeId,
                      static_cast<std::uint32_t>(request.pid),
                      request.uid.value_or(0xffffffffU),
                      request.deadlineUSec,
                      request.bytes};
}

// What comes and goes with an object; the standard interfaces say nothing to anybody.
std::vector<compat::InterfaceName> ownInterface() {
    return {compat::InterfaceName(org::fusewb1::Connection_adaptor::INTERFACE_NAME)};
}

} // namespace

sdbus::ObjectPath connectionPath(model::ConnectionId id) {
    return sdbus::ObjectPath(std::string(pathPrefix) + std::to_string(id));
}

std::optional<model::ConnectionId> connectionAt(const std::string &path) {
    if (!path.starts_with(pathPrefix))
        return std::nullopt;
    model::ConnectionId id = 0;
    const char *begin = path.data() + pathPrefix.size();
    const char *end = path.data() + path.size();
    const auto [stop, error] = std::from_chars(begin, end, id);
    if (error != std::errc() || stop != end)
        return std::nullopt;
    return id;
}

ConnectionObject::ConnectionObject(sdbus::IConnection &bus, const model::Registry &registry,
                                   Control &control, Bouncer &bouncer, model::ConnectionId id)
    : AdaptorInterfaces(bus, connectionPath(id)), registry_(registry), control_(control),
      bouncer_(bouncer), id_(id) {
    registerAdaptor();
    emitInterfacesAddedSignal(ownInterface());
}

ConnectionObject::~ConnectionObject() {
    // A bus that is gone takes no signal; there is nobody left to tell.
    try {
        emitInterfacesRemovedSignal(ownInterface());
    } catch (const sdbus::Error &) {
    }
    unregisterAdaptor();
}

void ConnectionObject::changed(const model::Connection &connection,
                               const std::vector<model::Field> &fields) {
    std::vector<compat::PropertyName> names;
    names.reserve(fields.size());
    for (model::Field field : fields)
        names.emplace_back(propertyName(field));
    emitPropertiesChangedSignal(Connection_adaptor::INTERFACE_NAME, names);
    if (connection.kernel.state == model::State::Aborted &&
        std::find(fields.begin(), fields.end(), model::Field::State) != fields.end())
        emitAborted(std::string(name(connection.kernel.abortReason)));
}

void ConnectionObject::expired(const model::Expiry &expiry) {
    const model::Request &request = expiry.request;
    emitDeadlineExpired(request.unique, model::operationName(request.opcode),
                        std::string(name(request.operations)), request.ageUSec,
                        static_cast<std::uint32_t>(request.pid),
                        choiceName(policy::Setting::DeadlineAction, expiry.action));
}

const model::Connection &ConnectionObject::now() {
    control_.refresh(id_);
    const model::Connection *connection = registry_.find(id_);
    if (!connection)
        throw notFound("connection " + std::to_string(id_) + " is gone");
    return *connection;
}

std::uint64_t ConnectionObject::value(policy::Setting setting) {
    return now().kernel.policy.get(setting).value_or(0);
}

void ConnectionObject::require(policy::Setting setting) {
    bouncer_.require(Caller::of(getObject()), Connection_adaptor::INTERFACE_NAME,
                     policy::describe(setting).property);
}

void ConnectionObject::write(policy::Setting setting, std::uint64_t number) {
    require(setting);
    const policy::Description &description = policy::describe(setting);
    if (const Outcome good = policy::check(description, number); !good)
        throw invalidArgument(std::string(description.property) + ": " + good.failure().what);
    policy::Values values;
    values.set(setting, number);
    succeed(control_.setPolicy(id_, values));
}

void ConnectionObject::write(policy::Setting setting, const std::string &name) {
    require(setting);
    policy::Values values;
    values.set(setting, choice(setting, name));
    succeed(control_.setPolicy(id_, values));
}

template <typename... Results, typename Action>
void ConnectionObject::guarded(sdbus::Result<Results...> &&result, const char *member,
                               Action action) {
    const model::Connection *connection = registry_.find(id_);
    answerGuarded(bouncer_, Caller::of(getObject()), Connection_adaptor::INTERFACE_NAME, member,
                  connection ? std::optional<uid_t>(connection->kernel.serverUid) : std::nullopt,
                  std::move(result), std::move(action));
}

void ConnectionObject::SetPolicy(sdbus::Result<> &&result,
                                 std::map<std::string, sdbus::Variant> values) {
    guarded(std::move(result), "SetPolicy",
            [&control = control_, id = id_, values = std::move(values)]() {
                succeed(control.setPolicy(id, fromVariants(values)));
                return std::tuple<>();
            });
}

void ConnectionObject::ResetPolicy(sdbus::Result<> &&result, std::vector<std::string> names) {
    guarded(std::move(result), "ResetPolicy",
            [&control = control_, id = id_, names = std::move(names)]() {
                std::vector<policy::Setting> settings;
                for (const std::string &property : names) {
                    const policy::Description *description = policy::findByProperty(property);
                    if (!description)
                        throw invalidArgument("\"" + property + "\" is no property of a policy");
                    settings.push_back(description->setting);
                }
                succeed(control.resetPolicy(id, settings));
                return std::tuple<>();
            });
}

void ConnectionObject::HoldPolicy(sdbus::Result<sdbus::UnixFd> &&result,
                                  std::map<std::string, sdbus::Variant> values,
                                  std::string reason) {
    guarded(
        std::move(result), "HoldPolicy",
        [&control = control_, id = id_, values = std::move(values), reason = std::move(reason)]() {
            const int fd = succeed(control.holdPolicy(id, fromVariants(values), reason));
            return std::tuple(sdbus::UnixFd(fd, sdbus::adopt_fd));
        });
}

void ConnectionObject::Abort(sdbus::Result<> &&result) {
    guarded(std::move(result), "Abort", [&control = control_, id = id_]() {
        succeed(control.abort(id));
        return std::tuple<>();
    });
}

void ConnectionObject::ListRequests(sdbus::Result<std::vector<RequestRow>> &&result,
                                    std::uint64_t minimumAgeUSec) {
    guarded(std::move(result), "ListRequests", [&control = control_, id = id_, minimumAgeUSec]() {
        auto requests = succeed(control.requests(id, minimumAgeUSec));
        std::stable_sort(
            requests.begin(), requests.end(),
            [](const model::Request &a, const model::Request &b) { return a.ageUSec > b.ageUSec; });
        std::vector<RequestRow> rows;
        for (const model::Request &request : requests)
            rows.push_back(rowOf(request));
        return std::tuple(std::move(rows));
    });
}

std::vector<std::string> ConnectionObject::MountPoints() { return now().mountPoints; }

std::uint64_t ConnectionObject::Device() { return now().kernel.device; }

std::string ConnectionObject::State() { return std::string(name(now().kernel.state)); }

std::string ConnectionObject::Writeback() { return std::string(name(now().kernel.writeback)); }

std::uint32_t ConnectionObject::ServerPid() {
    return static_cast<std::uint32_t>(now().kernel.serverPid);
}

std::uint32_t ConnectionObject::ServerUid() { return now().kernel.serverUid; }

std::string ConnectionObject::ServerExecutable() { return now().server.executable; }

std::string ConnectionObject::ServerUnit() { return now().server.unit; }

std::string ConnectionObject::Subtype() { return now().kernel.subtype; }

std::uint32_t ConnectionObject::ProtocolMinor() { return now().kernel.protocolMinor; }

std::uint32_t ConnectionObject::MaxWrite() { return now().kernel.maxWrite; }

std::uint32_t ConnectionObject::MaxRead() { return now().kernel.maxRead; }

std::string ConnectionObject::AbortReason() { return std::string(name(now().kernel.abortReason)); }

std::uint32_t ConnectionObject::ServerGid() { return now().kernel.serverGid; }

bool ConnectionObject::Privileged() { return now().kernel.privileged; }

std::string ConnectionObject::Rule() { return now().rule; }

std::map<std::string, std::string> ConnectionObject::PolicySources() {
    std::map<std::string, std::string> sources;
    const model::Connection &connection = now();
    for (const policy::Description &description : policy::settings()) {
        if (!connection.kernel.policy.get(description.setting))
            continue;
        const policy::Source &source =
            connection.sources[static_cast<std::size_t>(description.setting)];
        std::string text(name(source.origin));
        if (!source.detail.empty())
            text += " " + source.detail;
        sources.emplace(description.property, std::move(text));
    }
    return sources;
}

std::map<std::string, std::vector<std::uint64_t>> ConnectionObject::Latencies() {
    std::map<std::string, std::vector<std::uint64_t>> latencies;
    const model::Latencies &all = now().kernel.latencies;
    for (std::size_t i = 0; i < all.size(); ++i)
        latencies.emplace(name(static_cast<model::Class>(i)),
                          std::vector<std::uint64_t>(all[i].begin(), all[i].end()));
    return latencies;
}

std::string ConnectionObject::WritebackPolicy() {
    return choiceName(Setting::Writeback, value(Setting::Writeback));
}

void ConnectionObject::WritebackPolicy(const std::string &value) {
    write(Setting::Writeback, value);
}

std::uint64_t ConnectionObject::WritebackDeadlineUSec() {
    return value(Setting::WritebackDeadline);
}

void ConnectionObject::WritebackDeadlineUSec(const std::uint64_t &value) {
    write(Setting::WritebackDeadline, value);
}

std::uint64_t ConnectionObject::MetadataDeadlineUSec() { return value(Setting::MetadataDeadline); }

void ConnectionObject::MetadataDeadlineUSec(const std::uint64_t &value) {
    write(Setting::MetadataDeadline, value);
}

std::uint64_t ConnectionObject::ReadDeadlineUSec() { return value(Setting::ReadDeadline); }

void ConnectionObject::ReadDeadlineUSec(const std::uint64_t &value) {
    write(Setting::ReadDeadline, value);
}

std::uint64_t ConnectionObject::LockDeadlineUSec() { return value(Setting::LockDeadline); }

void ConnectionObject::LockDeadlineUSec(const std::uint64_t &value) {
    write(Setting::LockDeadline, value);
}

std::uint64_t ConnectionObject::RequestDeadlineUSec() { return value(Setting::RequestDeadline); }

void ConnectionObject::RequestDeadlineUSec(const std::uint64_t &value) {
    write(Setting::RequestDeadline, value);
}

std::string ConnectionObject::DeadlineAction() {
    return choiceName(Setting::DeadlineAction, value(Setting::DeadlineAction));
}

void ConnectionObject::DeadlineAction(const std::string &value) {
    write(Setting::DeadlineAction, value);
}

std::uint64_t ConnectionObject::RetryUSec() { return value(Setting::Retry); }

void ConnectionObject::RetryUSec(const std::uint64_t &value) { write(Setting::Retry, value); }

bool ConnectionObject::SyncWaits() { return value(Setting::SyncWaits) != 0; }

void ConnectionObject::SyncWaits(const bool &value) {
    write(Setting::SyncWaits, std::uint64_t{value});
}

std::uint32_t ConnectionObject::MaxDirtyRatio() {
    return static_cast<std::uint32_t>(value(Setting::MaxDirtyRatio));
}

void ConnectionObject::MaxDirtyRatio(const std::uint32_t &value) {
    write(Setting::MaxDirtyRatio, std::uint64_t{value});
}

bool ConnectionObject::StrictLimit() { return value(Setting::StrictLimit) != 0; }

void ConnectionObject::StrictLimit(const bool &value) {
    write(Setting::StrictLimit, std::uint64_t{value});
}

std::uint32_t ConnectionObject::MaxWriteSize() {
    return static_cast<std::uint32_t>(value(Setting::MaxWriteSize));
}

void ConnectionObject::MaxWriteSize(const std::uint32_t &value) {
    write(Setting::MaxWriteSize, std::uint64_t{value});
}

bool ConnectionObject::SpliceFolios() { return value(Setting::SpliceFolios) != 0; }

void ConnectionObject::SpliceFolios(const bool &value) {
    write(Setting::SpliceFolios, std::uint64_t{value});
}

bool ConnectionObject::ForceWritebackCache() { return value(Setting::ForceWritebackCache) != 0; }

void ConnectionObject::ForceWritebackCache(const bool &value) {
    write(Setting::ForceWritebackCache, std::uint64_t{value});
}

std::uint64_t ConnectionObject::Requests() { return now().kernel.counters.requests; }

std::uint64_t ConnectionObject::Answers() { return now().kernel.counters.answers; }

std::uint64_t ConnectionObject::Waiting() { return now().kernel.counters.waiting; }

std::uint64_t ConnectionObject::WriteRequests() { return now().kernel.counters.writeRequests; }

std::uint64_t ConnectionObject::BytesDirect() { return now().kernel.counters.bytesDirect; }

std::uint64_t ConnectionObject::BytesCopied() { return now().kernel.counters.bytesCopied; }

std::uint64_t ConnectionObject::BytesRead() { return now().kernel.counters.bytesRead; }

std::uint64_t ConnectionObject::BytesInFlight() { return now().kernel.counters.bytesInFlight; }

std::uint64_t ConnectionObject::Skipped() { return now().kernel.counters.skipped; }

std::uint64_t ConnectionObject::WriteErrors() { return now().kernel.counters.writeErrors; }

std::uint64_t ConnectionObject::Deadlines() { return now().kernel.counters.deadlines; }

std::uint64_t ConnectionObject::MigrateAgain() { return now().kernel.counters.migrateAgain; }

std::uint64_t ConnectionObject::Malformed() { return now().kernel.counters.malformed; }

std::uint64_t ConnectionObject::Retargets() { return now().kernel.counters.retargets; }

std::uint64_t ConnectionObject::Retries() { return now().kernel.counters.retries; }

} // namespace fusewb::bus
