// SPDX-License-Identifier: GPL-2.0-only
// Connections whose policies are asked for and changed over the bus.
#pragma once

#include "bus_case.h"

#include <optional>
#include <string>
#include <vector>

namespace fusewb::test {

using policy::Setting;

inline constexpr std::uint64_t second = 1'000'000;

class ControlTest : public BusTest {
protected:
    ControlTest() {
        for (policy::Values *values : {&kernel.defaults.privileged, &kernel.defaults.others})
            for (const policy::Description &description : policy::settings())
                values->set(description.setting, 0);
        kernel.defaults.privileged.set(Setting::Writeback, 1);
    }

    // One that the kernel gave the default of its kind.
    KernelFacts governed(model::ConnectionId id) {
        KernelFacts facts = own(id);
        facts.policy = kernel.defaults.others;
        return facts;
    }

    std::optional<std::uint64_t> inKernel(model::ConnectionId id, Setting setting) {
        return kernel.connections.at(id).policy.get(setting);
    }

    Reply setDeadline(Client &who, std::uint64_t usec) {
        return who.set(pathOf(3), connection, "ReadDeadlineUSec", 't', &usec);
    }

    // SetPolicy or HoldPolicy with one duration.
    static void appendValue(sd_bus_message *message, const char *name, std::uint64_t usec) {
        sd_bus_message_append(message, "a{sv}", 1, name, "t", usec);
    }

    Reply setPolicy(Client &who, std::uint64_t usec, bool interactive = false) {
        return who.callWith(
            pathOf(3), connection, "SetPolicy",
            [usec](sd_bus_message *message) { appendValue(message, "ReadDeadlineUSec", usec); },
            interactive);
    }

    Reply reset(Client &who, const std::vector<std::string> &names) {
        return who.callWith(pathOf(3), connection, "ResetPolicy", [&](sd_bus_message *message) {
            sd_bus_message_open_container(message, 'a', "s");
            for (const std::string &name : names)
                sd_bus_message_append(message, "s", name.c_str());
            sd_bus_message_close_container(message);
        });
    }

    Reply hold(std::uint64_t usec) {
        return client->callWith(pathOf(3), connection, "HoldPolicy",
                                [usec](sd_bus_message *message) {
                                    appendValue(message, "ReadDeadlineUSec", usec);
                                    sd_bus_message_append(message, "s", "backup");
                                });
    }

    Reply explain() {
        return client->callWith(managerPath, manager, "Explain", [](sd_bus_message *message) {
            sd_bus_message_append(message, "o", pathOf(3).c_str());
        });
    }
};

} // namespace fusewb::test
