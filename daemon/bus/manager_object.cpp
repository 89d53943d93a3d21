// SPDX-License-Identifier: GPL-2.0-only
#include "bus/manager_object.h"

#include "bus/connection_object.h"
#include "bus/errors.h"
#include "bus/guarded.h"
#include "bus/values.h"

#include <limits>
#include <memory>

namespace fusewb::bus {

namespace {

RuleRow rowOf(const policy::Rule &rule) {
    std::vector<PairRow> conditions;
    for (std::size_t i = 0; i < policy::criterionCount; ++i)
        for (const policy::Pattern &pattern : rule.match[i])
            conditions.emplace_back(std::string(name(static_cast<policy::Criterion>(i))),
                                    pattern.text);
    std::vector<PairRow> values;
    for (const policy::Description &description : policy::settings())
        if (const auto value = rule.values.get(description.setting))
            values.emplace_back(std::string(description.key),
                                policy::formatValue(description, *value));
    return {rule.name, rule.path, std::move(conditions), std::move(values)};
}

model::Defaults changesFrom(bool privileged, const Variants &variants) {
    model::Defaults changes;
    (privileged ? changes.privileged : changes.others) = fromVariants(variants);
    return changes;
}

} // namespace

ManagerObject::ManagerObject(sdbus::IConnection &bus, const model::Registry &registry,
                             Control &control, Bouncer &bouncer, std::string version)
    : AdaptorInterfaces(bus, sdbus::ObjectPath("/org/fusewb")), registry_(registry),
      control_(control), bouncer_(bouncer), version_(std::move(version)) {
    registerAdaptor();
}

ManagerObject::~ManagerObject() { unregisterAdaptor(); }

void ManagerObject::moduleChanged() {
    emitPropertiesChangedSignal(
        Manager_adaptor::INTERFACE_NAME,
        {compat::PropertyName("ModuleVersion"), compat::PropertyName("ProtocolMinor")});
}

void ManagerObject::defaultsChanged() {
    emitPropertiesChangedSignal(
        Manager_adaptor::INTERFACE_NAME,
        {compat::PropertyName("PrivilegedPolicy"), compat::PropertyName("OthersPolicy")});
}

template <typename... Results, typename Action>
void ManagerObject::guarded(sdbus::Result<Results...> &&result, const char *member, Action action) {
    answerGuarded(bouncer_, Caller::of(getObject()), Manager_adaptor::INTERFACE_NAME, member,
                  std::nullopt, std::move(result), std::move(action));
}

void ManagerObject::Reload(sdbus::Result<> &&result) {
    guarded(std::move(result), "Reload", [&control = control_]() {
        if (const Outcome reloaded = control.reload(); !reloaded)
            throw invalidRules(reloaded.failure().what);
        return std::tuple<>();
    });
}

// A function has to be copyable, a descriptor is not.
void ManagerObject::answerMount(sdbus::Result<> &&result, const char *member,
                                mounter::Request request) {
    const Caller caller = Caller::of(getObject());
    // Who is at the bound need not be asked about: that takes long, and may take a password.
    if (const Outcome room = control_.roomFor(request.verb, caller.uid); !room) {
        result.returnError(errorFor(room.failure()));
        return;
    }
    request.user = caller.uid;
    auto kept = std::make_shared<mounter::Request>(std::move(request));
    answerGuardedLater(bouncer_, unanswered_, caller, Manager_adaptor::INTERFACE_NAME, member,
                       caller.uid, std::move(result),
                       [&control = control_, kept](std::function<void(Outcome)> answer) {
                           control.mount(std::move(*kept), std::move(answer));
                       });
}

void ManagerObject::Mount(sdbus::Result<> &&result, sdbus::UnixFd device, sdbus::UnixFd mountPoint,
                          sdbus::UnixFd mountNamespace, std::uint32_t group, std::string source,
                          std::string subtype, std::string options) {
    mounter::Request request;
    request.verb = mounter::Verb::Mount;
    request.group = group;
    request.source = std::move(source);
    request.subtype = std::move(subtype);
    request.options = std::move(options);
    request.device = mounter::Descriptor(device.release());
    request.place = mounter::Descriptor(mountPoint.release());
    request.nameSpace = mounter::Descriptor(mountNamespace.release());
    answerMount(std::move(result), "Mount", std::move(request));
}

void ManagerObject::Unmount(sdbus::Result<> &&result, sdbus::UnixFd root,
                            sdbus::UnixFd mountNamespace) {
    mounter::Request request;
    request.verb = mounter::Verb::Unmount;
    request.place = mounter::Descriptor(root.release());
    request.nameSpace = mounter::Descriptor(mountNamespace.release());
    answerMount(std::move(result), "Unmount", std::move(request));
}

void ManagerObject::ListRules(sdbus::Result<std::vector<RuleRow>> &&result) {
    guarded(std::move(result), "ListRules", [&control = control_]() {
        std::vector<RuleRow> rows;
        for (const policy::Rule &rule : control.rules())
            rows.push_back(rowOf(rule));
        return std::tuple(std::move(rows));
    });
}

void ManagerObject::Explain(sdbus::Result<std::vector<VerdictRow>, std::vector<ValueRow>> &&result,
                            sdbus::ObjectPath connection) {
    guarded(std::move(result), "Explain", [&control = control_, path = std::string(connection)]() {
        const auto id = connectionAt(path);
        if (!id)
            throw invalidArgument(path + " is no connection");
        const Control::Explanation explanation = succeed(control.explain(*id));
        std::vector<VerdictRow> verdicts;
        for (const policy::Verdict &verdict : explanation.verdicts)
            verdicts.emplace_back(verdict.rule, verdict.path, verdict.matches, verdict.reason);
        std::vector<ValueRow> values;
        for (const policy::Description &description : policy::settings()) {
            const auto value = explanation.effective.values.get(description.setting);
            if (!value)
                continue;
            const policy::Source &source = explanation.effective.source(description.setting);
            values.emplace_back(std::string(description.key),
                                policy::formatValue(description, *value),
                                std::string(name(source.origin)), source.detail);
        }
        return std::tuple(std::move(verdicts), std::move(values));
    });
}

void ManagerObject::SetDefaultPolicy(sdbus::Result<> &&result, bool privileged,
                                     std::map<std::string, sdbus::Variant> values) {
    guarded(std::move(result), "SetDefaultPolicy",
            [&control = control_, privileged, values = std::move(values)]() {
                succeed(control.setDefaults(changesFrom(privileged, values)));
                return std::tuple<>();
            });
}

std::map<std::string, sdbus::Variant> ManagerObject::PrivilegedPolicy() {
    return toVariants(control_.defaults().privileged);
}

void ManagerObject::PrivilegedPolicy(const std::map<std::string, sdbus::Variant> &values) {
    bouncer_.require(Caller::of(getObject()), Manager_adaptor::INTERFACE_NAME, "PrivilegedPolicy");
    succeed(control_.setDefaults(changesFrom(true, values)));
}

std::map<std::string, sdbus::Variant> ManagerObject::OthersPolicy() {
    return toVariants(control_.defaults().others);
}

void ManagerObject::OthersPolicy(const std::map<std::string, sdbus::Variant> &values) {
    bouncer_.require(Caller::of(getObject()), Manager_adaptor::INTERFACE_NAME, "OthersPolicy");
    succeed(control_.setDefaults(changesFrom(false, values)));
}

std::vector<sdbus::ObjectPath> ManagerObject::ListConnections() {
    std::vector<sdbus::ObjectPath> paths;
    paths.reserve(registry_.connections().size());
    for (const auto &[id, connection] : registry_.connections())
        paths.push_back(connectionPath(id));
    return paths;
}

sdbus::ObjectPath ManagerObject::FindConnectionByMountPoint(const std::string &mountPoint) {
    if (mountPoint.empty() || mountPoint.front() != '/')
        throw invalidArgument("\"" + mountPoint + "\" is not an absolute path");
    const model::Connection *connection = registry_.findByMountPoint(mountPoint);
    if (!connection)
        throw notFound("no fusewb file system is mounted at " + mountPoint);
    return connectionPath(connection->kernel.id);
}

sdbus::ObjectPath ManagerObject::FindConnectionByServerPid(const std::uint32_t &pid) {
    if (pid == 0 || pid > static_cast<std::uint32_t>(std::numeric_limits<pid_t>::max()))
        throw invalidArgument(std::to_string(pid) + " is not a process id");
    const model::Connection *connection = registry_.findByServerPid(static_cast<pid_t>(pid));
    if (!connection)
        throw notFound("process " + std::to_string(pid) + " serves no fusewb file system");
    return connectionPath(connection->kernel.id);
}

std::string ManagerObject::Version() { return version_; }

std::string ManagerObject::ModuleVersion() {
    return registry_.module() ? registry_.module()->version : std::string();
}

std::uint32_t ManagerObject::ProtocolMinor() {
    return registry_.module() ? registry_.module()->protocolMinor : 0;
}

} // namespace fusewb::bus
