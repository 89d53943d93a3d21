// SPDX-License-Identifier: GPL-2.0-only
// /org/fusewb
#pragma once

#include "bus/manager_adaptor.h"
#include "bus/sdbus.h"
#include "model/registry.h"

#include <string>
#include <vector>

namespace fusewb::bus {

class ManagerObject final
    : public sdbus::AdaptorInterfaces<org::fusewb1::Manager_adaptor, sdbus::Properties_adaptor,
                                      sdbus::ObjectManager_adaptor> {
public:
    /// Exports the object.
    ManagerObject(sdbus::IConnection &bus, const model::Registry &registry, std::string version);

    /// Withdraws the object.
    ~ManagerObject();

    ManagerObject(const ManagerObject &) = delete;
    ManagerObject &operator=(const ManagerObject &) = delete;

    /// Says that the properties of the module changed.
    void moduleChanged();

private:
    // As the interface XML says.
    std::vector<sdbus::ObjectPath> ListConnections() override;
    sdbus::ObjectPath FindConnectionByMountPoint(const std::string &mountPoint) override;
    sdbus::ObjectPath FindConnectionByServerPid(const std::uint32_t &pid) override;
    std::string Version() override;
    std::string ModuleVersion() override;
    std::uint32_t ProtocolMinor() override;

    const model::Registry &registry_;
    const std::string version_;
};

} // namespace fusewb::bus
