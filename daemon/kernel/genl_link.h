// SPDX-License-Identifier: GPL-2.0-only
// The link over the module's generic netlink family.
//
// Two sockets: one for questions, one for news. The second listens to the news of the family and
// to those of the netlink controller, which tells when a family comes and goes; so nothing is
// polled. The order is join first, ask for everything then: what happens in between is heard
// twice, which the registry takes, rather than never. It is the same after news were lost, with an
// empty socket for a beginning: the news that it takes in later are whole again and in their order,
// so that a connection that is heard of once more has its removal after it.
#pragma once

#include "kernel/genl_socket.h"
#include "kernel/link.h"

#include <memory>
#include <optional>

namespace fusewb::kernel {

class GenlLink final : public Link {
public:
    static Result<std::unique_ptr<Link>> open();

    Outcome start(LinkObserver &observer) override;
    int descriptor() const override { return events_.descriptor(); }
    Outcome process() override;
    Result<model::KernelFacts> fetch(model::ConnectionId id) override;
    Result<std::vector<model::Request>> requests(std::optional<model::ConnectionId> id,
                                                 std::uint64_t minimumAgeUSec) override;
    Outcome set(model::ConnectionId id, const policy::Values &values) override;
    Outcome abort(model::ConnectionId id) override;
    Outcome setDefaults(const model::Defaults &changes) override;

private:
    struct Family {
        int number;
        int group;
    };

    GenlLink(GenlSocket requests, GenlSocket events)
        : requests_(std::move(requests)), events_(std::move(events)) {}

    Outcome synchronise();
    Outcome attach();
    void detach();
    Result<Messages> askOnce(int command, std::vector<Attribute> attributes = {});
    Result<Messages> dump(int command, std::vector<Attribute> attributes = {});
    Outcome change(int command, std::vector<Attribute> attributes);
    Result<model::ModuleInfo> askInfo();
    Result<model::Defaults> askDefaults();
    Result<std::vector<model::KernelFacts>> askAll();
    Outcome familyChanged(const Message &message);
    void hear(const Message &message);

    GenlSocket requests_;
    GenlSocket events_;
    LinkObserver *observer_ = nullptr;
    std::optional<Family> family_;
    bool absenceSaid_ = false;
};

} // namespace fusewb::kernel
