// SPDX-License-Identifier: GPL-2.0-only
#include "bus/connection_object.h"

#include "bus/errors.h"

namespace fusewb::bus {

namespace {

const char *propertyName(model::Field field) {
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
    case model::Field::MountPoints:
        break;
    }
    return "MountPoints";
}

// What comes and goes with an object; the standard interfaces say nothing to anybody.
std::vector<compat::InterfaceName> ownInterface() {
    return {compat::InterfaceName(org::fusewb1::Connection_adaptor::INTERFACE_NAME)};
}

} // namespace

sdbus::ObjectPath connectionPath(model::ConnectionId id) {
    return sdbus::ObjectPath("/org/fusewb/connection/" + std::to_string(id));
}

ConnectionObject::ConnectionObject(sdbus::IConnection &bus, const model::Registry &registry,
                                   const Service::Refresh &refresh, model::ConnectionId id)
    : AdaptorInterfaces(bus, connectionPath(id)), registry_(registry), refresh_(refresh), id_(id) {
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

void ConnectionObject::changed(const std::vector<model::Field> &fields) {
    std::vector<compat::PropertyName> names;
    names.reserve(fields.size());
    for (model::Field field : fields)
        names.emplace_back(propertyName(field));
    emitPropertiesChangedSignal(Connection_adaptor::INTERFACE_NAME, names);
}

const model::Connection &ConnectionObject::now() {
    refresh_(id_);
    const model::Connection *connection = registry_.find(id_);
    if (!connection)
        throw notFound("connection " + std::to_string(id_) + " is gone");
    return *connection;
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

} // namespace fusewb::bus
