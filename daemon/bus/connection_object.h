// SPDX-License-Identifier: GPL-2.0-only
// /org/fusewb/connection/N
#pragma once

#include "bus/bouncer.h"
#include "bus/connection_adaptor.h"
#include "bus/control.h"
#include "bus/sdbus.h"
#include "model/registry.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fusewb::bus {

/// The path of a connection's object.
sdbus::ObjectPath connectionPath(model::ConnectionId id);

/// The connection whose object has this path; nothing if none can.
std::optional<model::ConnectionId> connectionAt(const std::string &path);

/// A request as ListRequests() tells of it.
using RequestRow =
    sdbus::Struct<std::uint64_t, std::string, std::string, std::string, std::uint64_t,
                  std::uint64_t, std::uint32_t, std::uint32_t, std::uint64_t, std::uint32_t>;

class ConnectionObject final
    : public sdbus::AdaptorInterfaces<org::fusewb1::Connection_adaptor, sdbus::Properties_adaptor,
                                      sdbus::ManagedObject_adaptor> {
public:
    /// Exports the object and says so (InterfacesAdded). The registry must hold the connection.
    /// All others must outlive the object.
    ConnectionObject(sdbus::IConnection &bus, const model::Registry &registry, Control &control,
                     Bouncer &bouncer, model::ConnectionId id);

    /// Says InterfacesRemoved and withdraws the object.
    ~ConnectionObject();

    ConnectionObject(const ConnectionObject &) = delete;
    ConnectionObject &operator=(const ConnectionObject &) = delete;

    /// Says PropertiesChanged, and Aborted where that is what changed.
    void changed(const model::Connection &connection, const std::vector<model::Field> &fields);

    /// Says DeadlineExpired.
    void expired(const model::Expiry &expiry);

private:
    // As the interface XML says.
    void SetPolicy(sdbus::Result<> &&result, std::map<std::string, sdbus::Variant> values) override;
    void ResetPolicy(sdbus::Result<> &&result, std::vector<std::string> names) override;
    void HoldPolicy(sdbus::Result<sdbus::UnixFd> &&result,
                    std::map<std::string, sdbus::Variant> values, std::string reason) override;
    void Abort(sdbus::Result<> &&result) override;
    void ListRequests(sdbus::Result<std::vector<RequestRow>> &&result,
                      std::uint64_t minimumAgeUSec) override;
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
    std::string AbortReason() override;
    std::uint32_t ServerGid() override;
    bool Privileged() override;
    std::string Rule() override;
    std::map<std::string, std::string> PolicySources() override;
    std::map<std::string, std::vector<std::uint64_t>> Latencies() override;
    std::string WritebackPolicy() override;
    void WritebackPolicy(const std::string &value) override;
    std::uint64_t WritebackDeadlineUSec() override;
    void WritebackDeadlineUSec(const std::uint64_t &value) override;
    std::uint64_t MetadataDeadlineUSec() override;
    void MetadataDeadlineUSec(const std::uint64_t &value) override;
    std::uint64_t ReadDeadlineUSec() override;
    void ReadDeadlineUSec(const std::uint64_t &value) override;
    std::uint64_t LockDeadlineUSec() override;
    void LockDeadlineUSec(const std::uint64_t &value) override;
    std::uint64_t RequestDeadlineUSec() override;
    void RequestDeadlineUSec(const std::uint64_t &value) override;
    std::string DeadlineAction() override;
    void DeadlineAction(const std::string &value) override;
    std::uint64_t RetryUSec() override;
    void RetryUSec(const std::uint64_t &value) override;
    bool SyncWaits() override;
    void SyncWaits(const bool &value) override;
    std::uint32_t MaxDirtyRatio() override;
    void MaxDirtyRatio(const std::uint32_t &value) override;
    bool StrictLimit() override;
    void StrictLimit(const bool &value) override;
    std::uint32_t MaxWriteSize() override;
    void MaxWriteSize(const std::uint32_t &value) override;
    bool SpliceFolios() override;
    void SpliceFolios(const bool &value) override;
    bool ForceWritebackCache() override;
    void ForceWritebackCache(const bool &value) override;
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
    std::uint64_t Malformed() override;
    std::uint64_t Retargets() override;
    std::uint64_t Retries() override;

    // Refreshed; throws a D-Bus error if the connection is gone, which the library answers.
    const model::Connection &now();

    std::uint64_t value(policy::Setting setting);
    // Throws unless the caller who is writing the property may.
    void require(policy::Setting setting);
    // Sets one value for that caller; the second takes a choice by its name.
    void write(policy::Setting setting, std::uint64_t number);
    void write(policy::Setting setting, const std::string &name);
    // Answers with what the action returns, or why the caller may not have it done. The object may
    // be gone by then, so the action must not need it.
    template <typename... Results, typename Action>
    void guarded(sdbus::Result<Results...> &&result, const char *member, Action action);

    const model::Registry &registry_;
    Control &control_;
    Bouncer &bouncer_;
    const model::ConnectionId id_;
};

} // namespace fusewb::bus
