// SPDX-License-Identifier: GPL-2.0-only
#include "bus/manager_object.h"

#include "bus/connection_object.h"
#include "bus/errors.h"

#include <limits>

namespace fusewb::bus {

ManagerObject::ManagerObject(sdbus::IConnection &bus, const model::Registry &registry,
                             std::string version)
    : AdaptorInterfaces(bus, sdbus::ObjectPath("/org/fusewb")), registry_(registry),
      version_(std::move(version)) {
    registerAdaptor();
}

ManagerObject::~ManagerObject() { unregisterAdaptor(); }

void ManagerObject::moduleChanged() {
    emitPropertiesChangedSignal(
        Manager_adaptor::INTERFACE_NAME,
        {compat::PropertyName("ModuleVersion"), compat::PropertyName("ProtocolMinor")});
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
