// SPDX-License-Identifier: GPL-2.0-only
#include "model/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

namespace fusewb {
namespace {

using model::Connection;
using model::Field;
using model::KernelFacts;
using model::State;
using testing::_;
using testing::ElementsAre;
using testing::InSequence;
using testing::StrictMock;

struct FakeSurroundings final : model::Surroundings {
    model::Server serverOf(const KernelFacts &facts) override { return servers[facts.serverPid]; }
    std::vector<std::string> mountPointsOf(dev_t device) override { return mounts[device]; }

    std::map<pid_t, model::Server> servers;
    std::map<dev_t, std::vector<std::string>> mounts;
};

struct MockObserver : model::Observer {
    MOCK_METHOD(void, moduleChanged, (), (override));
    MOCK_METHOD(void, connectionAdded, (const Connection &), (override));
    MOCK_METHOD(void, connectionChanged, (const Connection &, const std::vector<Field> &),
                (override));
    MOCK_METHOD(void, connectionRemoved, (model::ConnectionId), (override));
};

KernelFacts connection(model::ConnectionId id, State state = State::Ready) {
    KernelFacts facts;
    facts.id = id;
    facts.device = 40 + id;
    facts.state = state;
    facts.serverPid = static_cast<pid_t>(100 + id);
    return facts;
}

class RegistryTest : public testing::Test {
protected:
    RegistryTest() { registry.setObserver(&observer); }

    // Brings connections in without caring for what is said of it.
    void have(const std::vector<KernelFacts> &all) {
        registry.setObserver(nullptr);
        registry.synchronise(module, all);
        registry.setObserver(&observer);
    }

    const model::ModuleInfo module{"0.1.0", 7, 38};
    FakeSurroundings surroundings;
    StrictMock<MockObserver> observer;
    model::Registry registry{surroundings};
};

TEST_F(RegistryTest, FirstSynchronisationAnnouncesModuleAndConnections) {
    InSequence order;
    EXPECT_CALL(observer, moduleChanged());
    EXPECT_CALL(observer, connectionAdded(testing::Field(&Connection::kernel,
                                                         testing::Field(&KernelFacts::id, 1))));
    EXPECT_CALL(observer, connectionAdded(testing::Field(&Connection::kernel,
                                                         testing::Field(&KernelFacts::id, 2))));
    registry.synchronise(module, {connection(1), connection(2)});
    EXPECT_EQ(registry.module(), module);
    EXPECT_EQ(registry.connections().size(), 2U);
}

TEST_F(RegistryTest, SameStateSynchronisedAgainIsNoNews) {
    have({connection(1), connection(2)});
    registry.synchronise(module, {connection(1), connection(2)});
}

TEST_F(RegistryTest, SynchronisationDropsAddsAndChanges) {
    have({connection(1), connection(2, State::Init)});
    EXPECT_CALL(observer, connectionRemoved(1));
    EXPECT_CALL(observer, connectionChanged(_, ElementsAre(Field::State)));
    EXPECT_CALL(observer, connectionAdded(_));
    registry.synchronise(module, {connection(2), connection(3)});
    EXPECT_EQ(registry.find(1), nullptr);
    EXPECT_NE(registry.find(3), nullptr);
}

TEST_F(RegistryTest, NumberThatStandsForAnotherConnectionIsRemovedAndAdded) {
    have({connection(1)});
    KernelFacts other = connection(1, State::Init);
    other.load = 2;
    InSequence order;
    EXPECT_CALL(observer, connectionRemoved(1));
    EXPECT_CALL(observer, connectionAdded(_));
    registry.synchronise(module, {other});
    EXPECT_EQ(registry.find(1)->kernel, other);
}

TEST_F(RegistryTest, AddedConnectionHasServerAndMountPoints) {
    surroundings.servers[101] = {"/usr/bin/sshfs", "", "srv.mount"};
    surroundings.mounts[41] = {"/srv"};
    Connection seen;
    EXPECT_CALL(observer, connectionAdded(_)).WillOnce(testing::SaveArg<0>(&seen));
    registry.apply(connection(1));
    EXPECT_EQ(seen.kernel, connection(1));
    EXPECT_EQ(seen.server, (model::Server{"/usr/bin/sshfs", "", "srv.mount"}));
    EXPECT_THAT(seen.mountPoints, ElementsAre("/srv"));
}

TEST_F(RegistryTest, ChangesAreNamedAndCountersAreSilent) {
    have({connection(1, State::Init)});
    KernelFacts ready = connection(1);
    ready.writeback = model::Writeback::Direct;
    ready.protocolMinor = 38;
    ready.maxWrite = 1 << 20;
    ready.maxRead = 1 << 17;
    EXPECT_CALL(observer, connectionChanged(_, ElementsAre(Field::State, Field::Writeback,
                                                           Field::ProtocolMinor, Field::MaxWrite,
                                                           Field::MaxRead)));
    registry.apply(ready);

    ready.counters.bytesDirect = 4096;
    registry.apply(ready);
    EXPECT_EQ(registry.find(1)->kernel.counters.bytesDirect, 4096U);
}

TEST_F(RegistryTest, FactsThatAreOlderAreDropped) {
    have({connection(1, State::Aborted)});
    registry.apply(connection(1, State::Init));
    registry.apply(connection(1, State::Ready));
    EXPECT_EQ(registry.find(1)->kernel.state, State::Aborted);
}

TEST_F(RegistryTest, ServerThatExecutedAnotherProgramIsSeenWhenReady) {
    surroundings.servers[101] = {"/sbin/mount.fusewb", "", ""};
    have({connection(1, State::Init)});
    surroundings.servers[101] = {"/usr/bin/sshfs", "", ""};
    EXPECT_CALL(observer, connectionChanged(_, ElementsAre(Field::State, Field::ServerExecutable)));
    registry.apply(connection(1));
    EXPECT_EQ(registry.find(1)->server.executable, "/usr/bin/sshfs");
}

TEST_F(RegistryTest, ServerThatEndedIsRemembered) {
    surroundings.servers[101] = {"/usr/bin/sshfs", "", "srv.mount"};
    have({connection(1)});
    surroundings.servers.clear();
    EXPECT_CALL(observer, connectionChanged(_, ElementsAre(Field::State)));
    registry.apply(connection(1, State::Aborted));
    EXPECT_EQ(registry.find(1)->server.executable, "/usr/bin/sshfs");
}

TEST_F(RegistryTest, OtherServerReplacesTheFormerOne) {
    surroundings.servers[101] = {"/usr/bin/sshfs", "", "srv.mount"};
    have({connection(1)});
    KernelFacts handed = connection(1);
    handed.serverPid = 500;
    EXPECT_CALL(observer,
                connectionChanged(
                    _, ElementsAre(Field::ServerPid, Field::ServerExecutable, Field::ServerUnit)));
    registry.apply(handed);
    EXPECT_EQ(registry.find(1)->server, model::Server{});
}

TEST_F(RegistryTest, RemovalOfAnUnknownConnectionIsNoNews) {
    have({connection(1)});
    registry.remove(2);
    EXPECT_EQ(registry.connections().size(), 1U);
}

TEST_F(RegistryTest, ModuleGoneTakesItsConnectionsAlong) {
    have({connection(1), connection(2)});
    InSequence order;
    EXPECT_CALL(observer, connectionRemoved(1));
    EXPECT_CALL(observer, connectionRemoved(2));
    EXPECT_CALL(observer, moduleChanged());
    registry.moduleGone();
    EXPECT_FALSE(registry.module());
    registry.moduleGone(); // said once
}

TEST_F(RegistryTest, MountChangeTouchesTheConnectionConcernedOnly) {
    have({connection(1), connection(2)});
    surroundings.mounts[42] = {"/srv/a", "/srv/b"};
    EXPECT_CALL(observer, connectionChanged(testing::Field(&Connection::mountPoints,
                                                           ElementsAre("/srv/a", "/srv/b")),
                                            ElementsAre(Field::MountPoints)));
    registry.mountsChanged();
}

TEST_F(RegistryTest, LookupByMountPointTakesTheUppermost) {
    surroundings.mounts = {{41, {"/srv", "/other"}}, {42, {"/srv"}}, {43, {"/"}}};
    have({connection(1), connection(2), connection(3)});
    const auto id = [this](const char *path) -> model::ConnectionId {
        const Connection *found = registry.findByMountPoint(path);
        return found ? found->kernel.id : 0;
    };
    EXPECT_EQ(id("/srv"), 2U);
    EXPECT_EQ(id("/other"), 1U);
    EXPECT_EQ(id("/other//"), 1U);
    EXPECT_EQ(id("/"), 3U);
    EXPECT_EQ(id("/othe"), 0U);
    EXPECT_EQ(id(""), 0U);
}

TEST_F(RegistryTest, LookupByPidTakesTheNewest) {
    KernelFacts second = connection(2);
    second.serverPid = 101;
    KernelFacts invisible = connection(3);
    invisible.serverPid = 0;
    have({connection(1), second, invisible});
    ASSERT_NE(registry.findByServerPid(101), nullptr);
    EXPECT_EQ(registry.findByServerPid(101)->kernel.id, 2U);
    EXPECT_EQ(registry.findByServerPid(102), nullptr);
    EXPECT_EQ(registry.findByServerPid(0), nullptr);
}

TEST(Names, EnumerationsAreWords) {
    EXPECT_EQ(name(State::Init), "init");
    EXPECT_EQ(name(State::Ready), "ready");
    EXPECT_EQ(name(State::Aborted), "aborted");
    EXPECT_EQ(name(State::Unknown), "unknown");
    EXPECT_EQ(name(model::Writeback::Through), "through");
    EXPECT_EQ(name(model::Writeback::Copy), "copy");
    EXPECT_EQ(name(model::Writeback::Direct), "direct");
    EXPECT_EQ(name(model::Writeback::Unknown), "unknown");
}

TEST_F(RegistryTest, EachValueOfThePolicyIsAChangeOfItsOwn) {
    have({connection(1)});
    KernelFacts changed = connection(1);
    changed.policy.set(policy::Setting::ReadDeadline, 1'000'000);
    EXPECT_CALL(observer,
                connectionChanged(_, ElementsAre(model::fieldOf(policy::Setting::ReadDeadline))));
    registry.apply(changed);
    EXPECT_EQ(model::settingOf(model::fieldOf(policy::Setting::ReadDeadline)),
              policy::Setting::ReadDeadline);
    EXPECT_EQ(model::settingOf(Field::Rule), std::nullopt);
}

TEST_F(RegistryTest, WhatWasDecidedIsToldOnce) {
    have({connection(1)});
    std::array<policy::Source, policy::settingCount> sources;
    sources[0] = {policy::Origin::Rule, "50-a.conf"};
    EXPECT_CALL(observer, connectionChanged(_, ElementsAre(Field::Rule, Field::Sources)));
    registry.decided(1, "50-a.conf", sources);
    registry.decided(1, "50-a.conf", sources);
    registry.decided(2, "50-a.conf", sources);
    EXPECT_EQ(registry.find(1)->rule, "50-a.conf");
}

TEST_F(RegistryTest, ServerThatEndedIsRememberedAsItWas) {
    surroundings.servers[101] = {"/usr/bin/sshfs", "", "srv.mount"};
    have({connection(1)});
    KernelFacts ended = connection(1, State::Aborted);
    ended.serverPid = 0;
    EXPECT_CALL(observer, connectionChanged(_, ElementsAre(Field::State, Field::ServerPid)));
    registry.apply(ended);
    EXPECT_EQ(registry.find(1)->server.executable, "/usr/bin/sshfs");
}

} // namespace
} // namespace fusewb
