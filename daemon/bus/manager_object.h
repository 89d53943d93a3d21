// SPDX-License-Identifier: GPL-2.0-only
// /org/fusewb
#pragma once

#include "bus/bouncer.h"
#include "bus/control.h"
#include "bus/guarded.h"
#include "bus/manager_adaptor.h"
#include "bus/sdbus.h"
#include "model/registry.h"

#include <map>
#include <string>
#include <vector>

namespace fusewb::bus {

using PairRow = sdbus::Struct<std::string, std::string>;
/// A rule as ListRules() tells of it.
using RuleRow = sdbus::Struct<std::string, std::string, std::vector<PairRow>, std::vector<PairRow>>;
/// What came of a rule, and a value, as Explain() tells of them.
using VerdictRow = sdbus::Struct<std::string, std::string, bool, std::string>;
using ValueRow = sdbus::Struct<std::string, std::string, std::string, std::string>;

class ManagerObject final
    : public sdbus::AdaptorInterfaces<org::fusewb1::Manager_adaptor, sdbus::Properties_adaptor,
                                      sdbus::ObjectManager_adaptor> {
public:
    /// Exports the object.
    ManagerObject(sdbus::IConnection &bus, const model::Registry &registry, Control &control,
                  Bouncer &bouncer, std::string version);

    /// Withdraws the object.
    ~ManagerObject();

    ManagerObject(const ManagerObject &) = delete;
    ManagerObject &operator=(const ManagerObject &) = delete;

    /// Says that the properties of the module changed.
    void moduleChanged();

    /// Says that the default policies changed.
    void defaultsChanged();

private:
    // As the interface XML says.
    std::vector<sdbus::ObjectPath> ListConnections() override;
    sdbus::ObjectPath FindConnectionByMountPoint(const std::string &mountPoint) override;
    sdbus::ObjectPath FindConnectionByServerPid(const std::uint32_t &pid) override;
    void Mount(sdbus::Result<> &&result, sdbus::UnixFd device, sdbus::UnixFd mountPoint,
               sdbus::UnixFd mountNamespace, std::uint32_t group, std::string source,
               std::string subtype, std::string options) override;
    void Unmount(sdbus::Result<> &&result, sdbus::UnixFd root,
                 sdbus::UnixFd mountNamespace) override;
    void Reload(sdbus::Result<> &&result) override;
    void ListRules(sdbus::Result<std::vector<RuleRow>> &&result) override;
    void Explain(sdbus::Result<std::vector<VerdictRow>, std::vector<ValueRow>> &&result,
                 sdbus::ObjectPath connection) override;
    void SetDefaultPolicy(sdbus::Result<> &&result, bool privileged,
                          std::map<std::string, sdbus::Variant> values) override;
    std::string Version() override;
    std::string ModuleVersion() override;
    std::uint32_t ProtocolMinor() override;
    std::map<std::string, sdbus::Variant> PrivilegedPolicy() override;
    void PrivilegedPolicy(const std::map<std::string, sdbus::Variant> &values) override;
    std::map<std::string, sdbus::Variant> OthersPolicy() override;
    void OthersPolicy(const std::map<std::string, sdbus::Variant> &values) override;

    template <typename... Results, typename Action>
    void guarded(sdbus::Result<Results...> &&result, const char *member, Action action);
    void answerMount(sdbus::Result<> &&result, const char *member, mounter::Request request);

    const model::Registry &registry_;
    Control &control_;
    Bouncer &bouncer_;
    const std::string version_;
    Unanswered unanswered_;
};

} // namespace fusewb::bus
