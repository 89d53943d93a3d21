// SPDX-License-Identifier: GPL-2.0-only
// The daemon without its main(): real objects on a bus of the test's own, a kernel that is told
// what to say, and rules of the test's own.
#pragma once

#include "bus_fixture.h"
#include "core/accounts.h"
#include "core/daemon.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fusewb::test {

using model::KernelFacts;
using model::State;
inline constexpr const char *managerPath = "/org/fusewb";
inline constexpr const char *manager = "org.fusewb1.Manager";
inline constexpr const char *connection = "org.fusewb1.Connection";
inline constexpr const char *properties = "org.freedesktop.DBus.Properties";

inline std::string pathOf(model::ConnectionId id) {
    return "/org/fusewb/connection/" + std::to_string(id);
}

// A connection served by this process and mounted, as far as st_dev tells, at /proc.
inline KernelFacts own(model::ConnectionId id, State state = State::Ready) {
    struct stat status {};
    EXPECT_EQ(stat("/proc", &status), 0);
    KernelFacts facts;
    facts.id = id;
    facts.device = status.st_dev;
    facts.state = state;
    facts.writeback = model::Writeback::Direct;
    facts.serverPid = getpid();
    facts.serverUid = 1234;
    facts.subtype = "sshfs";
    facts.protocolMinor = 38;
    facts.maxWrite = 1048576;
    facts.maxRead = 131072;
    facts.counters.bytesDirect = 5'000'000'000;
    return facts;
}

// One mounted nowhere and served by nobody that can be seen.
inline KernelFacts hidden(model::ConnectionId id) {
    KernelFacts facts;
    facts.id = id;
    facts.device = 0xfff00 + id;
    return facts;
}

class BusTest : public testing::Test {
protected:
    BusTest() {
        sd_event *created = nullptr;
        EXPECT_GE(sd_event_new(&created), 0);
        loop.reset(created);
        client = std::make_unique<Client>(loop.get(), bus.address());
        std::string name = (std::filesystem::temp_directory_path() / "fusewbd-state-XXXXXX");
        directory = mkdtemp(name.data());
        std::filesystem::create_directory(directory / "rules");
        settings = {.version = "1.2.3",
                    .mountinfo = "/proc/self/mountinfo",
                    .root = "",
                    .ruleDirectories = {directory / "rules"},
                    .stateDirectory = directory,
                    .mounterSocket = directory / "mounter"};
    }

    ~BusTest() override {
        daemon.reset();
        std::filesystem::remove_all(directory);
    }

    void writeRule(const std::string &name, const std::string &text) {
        std::ofstream(directory / "rules" / name) << text;
    }

    void start() {
        daemon = makeDaemon();
        const Outcome started = daemon->start();
        ASSERT_TRUE(started) << started.failure().what;
    }

    void startWith(const std::vector<KernelFacts> &all) {
        kernel.module = model::ModuleInfo{"9.8.7", 7, 38};
        for (const KernelFacts &facts : all)
            kernel.connections[facts.id] = facts;
        start();
    }

    std::unique_ptr<core::Daemon> makeDaemon() { return makeDaemon(kernel); }

    std::unique_ptr<core::Daemon> makeDaemon(FakeLink::Kernel &of) {
        return std::make_unique<core::Daemon>(loop.get(), std::make_unique<FakeLink>(of), accounts,
                                              settings);
    }

    std::string get(model::ConnectionId id, const std::string &property) {
        const Reply reply = client->get(pathOf(id), connection, property);
        return reply.error.empty() ? reply.body : reply.error;
    }

    Reply callManager(const std::string &method, const std::vector<std::string> &strings = {}) {
        return client->call(managerPath, manager, method, strings);
    }

    core::SystemAccounts accounts;
    std::filesystem::path directory;
    core::Daemon::Settings settings;
    PrivateBus bus;
    FakeLink::Kernel kernel;
    EventLoop loop;
    std::unique_ptr<Client> client;
    std::unique_ptr<core::Daemon> daemon;
};

} // namespace fusewb::test
