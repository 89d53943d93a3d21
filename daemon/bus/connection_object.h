// SPDX-License-Identifier: GPL-2.0-only
// /org/fusewb/connection/N
#pragma once

#include "bus/connection_adaptor.h"
#include "bus/sdbus.h"
#include "bus/service.h"
#include "model/registry.h"

#include <string>
#include <vector>

namespace fusewb::bus {

/// The path of a connection's object.
sdbus::ObjectPath connectionPath(model::ConnectionId id);

class ConnectionObject final
    : public sdbus::AdaptorInterfaces<org::fusewb1::Connection_adaptor, sdbus::Properties_adaptor,
                                      sdbus::ManagedObject_adaptor> {
public:
    /// Exports the object and says so (InterfacesAdded). The registry must hold the connection.
    ConnectionObject(sdbus::IConnection &bus, const model::Registry &registry,
                     const Service::Refresh &refresh, model::ConnectionId id);

    /// Says InterfacesRemoved and withdraws the object.
    ~ConnectionObject();

    ConnectionObject(const ConnectionObject &) = delete;
    ConnectionObject &operator=(const ConnectionObject &) = delete;

    /// Says PropertiesChanged.
    void changed(const std::vector<model::Field> &fields);

private:
    // As the interface XML says.
    std::vector<std::string> MountPoints() override;
    std::uint64_t Device() override;
    std::string State() override;
    std::string Writeback() override;
    std::uint32_t ServerPid() override;
    std::uint32_t ServerUid() override;
    std::string ServerExecutable() override;
    std::string ServerUnit() override;
    std::string Subtype() override;
    std::uint32_t ProtocolMinor() override;
    std::uint32_t MaxWrite() override;
    std::uint32_t MaxRead() override;
    std::uint64_t Requests() override;
    std::uint64_t Answers() override;
    std::uint64_t Waiting() override;
    std::uint64_t WriteRequests() override;
    std::uint64_t BytesDirect() override;
    std::uint64_t BytesCopied() override;
    std::uint64_t BytesRead() override;
    std::uint64_t BytesInFlight() override;
    std::uint64_t Skipped() override;
    std::uint64_t WriteErrors() override;
    std::uint64_t Deadlines() override;
    std::uint64_t MigrateAgain() override;

    // Refreshed; throws a D-Bus error if the connection is gone, which the library answers.
    const model::Connection &now();

    const model::Registry &registry_;
    const Service::Refresh &refresh_;
    const model::ConnectionId id_;
};

} // namespace fusewb::bus
