// SPDX-License-Identifier: GPL-2.0-only
// The governor without a bus, in surroundings that the test changes.
#include "bus_fixture.h"
#include "core/accounts.h"
#include "core/governor.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace fusewb {
namespace {

using policy::Setting;

struct Place final : model::Surroundings {
    model::Server serverOf(const model::KernelFacts &) override { return server; }
    std::vector<std::string> mountPointsOf(dev_t) override { return mountPoints; }

    model::Server server;
    std::vector<std::string> mountPoints;
};

class GovernorTest : public testing::Test {
protected:
    GovernorTest() {
        std::filesystem::create_directory(directory / "rules");
        startAnew();
        kernel.defaults.others.set(Setting::ReadDeadline, 0);
        kernel.defaults.privileged.set(Setting::ReadDeadline, 60'000'000);
    }
    ~GovernorTest() override { std::filesystem::remove_all(directory); }

    void writeRule(const std::string &text) {
        std::ofstream(directory / "rules/50.conf") << text;
        governor->load();
    }

    void add(bool privileged = false) {
        model::KernelFacts facts;
        facts.id = 3;
        facts.privileged = privileged;
        facts.policy.set(Setting::ReadDeadline, 0);
        kernel.connections[3] = facts;
        registry.synchronise({"1", 7, 31}, {facts});
        governor->synchronised(kernel.defaults, {facts});
    }

    // What it knew is gone, but for what it kept.
    void startAnew() {
        governor.emplace(link, registry, accounts, std::vector<std::string>{directory / "rules"},
                         core::Store(directory));
    }

    void loadAnew() {
        registry.moduleGone();
        governor->moduleGone();
        kernel.defaults.others.set(Setting::ReadDeadline, 0);
        add();
    }

    // From then on nothing can be kept.
    void breakStore() {
        std::filesystem::remove_all(directory / "set");
        std::ofstream(directory / "set") << "no directory";
    }

    static policy::Values of(std::uint64_t seconds) {
        policy::Values values;
        values.set(Setting::ReadDeadline, seconds * 1'000'000);
        return values;
    }

    std::uint64_t defaultForOthers() {
        return *kernel.defaults.others.get(Setting::ReadDeadline) / 1'000'000;
    }

    void changePlace() {
        registry.mountsChanged();
        governor->surroundingsChanged();
    }

    std::uint64_t deadline() {
        return *kernel.connections.at(3).policy.get(Setting::ReadDeadline) / 1'000'000;
    }

    static std::filesystem::path newDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "fusewb-governor-XXXXXX");
        return mkdtemp(name.data());
    }

    const std::filesystem::path directory = newDirectory(); // before what is told of it
    test::FakeLink::Kernel kernel;
    test::FakeLink link{kernel};
    Place place;
    model::Registry registry{place};
    core::SystemAccounts accounts;
    std::optional<core::Governor> governor;
};

TEST_F(GovernorTest, DefaultIsThatOfTheOpenersKind) {
    add(true);
    EXPECT_EQ(deadline(), 60U);
}

TEST_F(GovernorTest, RuleIsAskedAgainWhenTheMountPointsChange) {
    writeRule("[Match]\nMountPoint=/mnt/b\n[Policy]\nReadDeadlineSec=7\n");
    add();
    EXPECT_EQ(deadline(), 0U);
    place.mountPoints = {"/mnt/b"};
    changePlace();
    EXPECT_EQ(deadline(), 7U);
    place.mountPoints = {"/mnt/a"};
    changePlace();
    EXPECT_EQ(deadline(), 0U);
}

TEST_F(GovernorTest, UnmountedConnectionThatIsInUseStaysWhatItWas) {
    writeRule("[Match]\nMountPoint=/mnt/b\n[Policy]\nReadDeadlineSec=7\n");
    place.mountPoints = {"/mnt/b"};
    add();
    place.mountPoints.clear();
    changePlace();
    EXPECT_EQ(deadline(), 7U);
    EXPECT_TRUE(governor->reload());
    EXPECT_EQ(deadline(), 7U);
}

TEST_F(GovernorTest, ExecutableInDoubtMatchesNoRule) {
    writeRule("[Match]\nExecutable=/usr/bin/sshfs\n[Policy]\nReadDeadlineSec=7\n");
    place.server.executable = "/usr/bin/sshfs";
    place.server.executableDoubt = "that file was replaced or removed since";
    add();
    EXPECT_EQ(deadline(), 0U);
    const auto explanation = governor->explain(3);
    ASSERT_TRUE(explanation);
    EXPECT_NE(explanation->decision.verdicts.at(0).reason.find("replaced"), std::string::npos);
}

TEST_F(GovernorTest, NewestHoldWinsUntilItIsReleased) {
    add();
    policy::Values seven;
    seven.set(Setting::ReadDeadline, 7'000'000);
    policy::Values nine;
    nine.set(Setting::ReadDeadline, 9'000'000);
    EXPECT_TRUE(governor->hold(3, 1, seven, "a"));
    EXPECT_TRUE(governor->hold(3, 2, nine, "b"));
    EXPECT_EQ(deadline(), 9U);
    governor->release(3, 1);
    EXPECT_EQ(deadline(), 9U);
    governor->release(3, 2);
    EXPECT_EQ(deadline(), 0U);
    EXPECT_EQ(governor->hold(4, 3, nine, "c").failure().error, ENOENT);
}

TEST_F(GovernorTest, HoldThatTheKernelRefusesIsNone) {
    add();
    policy::Values seven;
    seven.set(Setting::ReadDeadline, 7'000'000);
    kernel.refuse = EINVAL;
    EXPECT_FALSE(governor->hold(3, 1, seven, "a"));
    kernel.refuse = 0;
    EXPECT_TRUE(governor->reload());
    EXPECT_EQ(deadline(), 0U);
}

TEST_F(GovernorTest, WhatTheKernelRefusesIsNotShownAsInForce) {
    writeRule("[Policy]\nReadDeadlineSec=7\n");
    add();
    writeRule("[Match]\nSubtype=x*\n[Policy]\nReadDeadlineSec=9\n");
    kernel.connections.at(3).subtype = "xfs";
    kernel.refuse = EINVAL;
    registry.apply(kernel.connections.at(3));
    governor->seen(3);
    EXPECT_EQ(deadline(), 7U);
    const auto explanation = governor->explain(3);
    ASSERT_TRUE(explanation);
    EXPECT_EQ(explanation->effective.values.get(Setting::ReadDeadline), 7'000'000U);
    EXPECT_EQ(explanation->effective.source(Setting::ReadDeadline),
              (policy::Source{policy::Origin::Rule, "50.conf"}));
    EXPECT_EQ(registry.find(3)->sources[static_cast<std::size_t>(Setting::ReadDeadline)],
              explanation->effective.source(Setting::ReadDeadline));
}

TEST_F(GovernorTest, RuleThatTheKernelRefusesFromTheBeginningIsNotInForce) {
    writeRule("[Policy]\nReadDeadlineSec=7\n");
    kernel.refuse = EINVAL;
    add();
    const auto explanation = governor->explain(3);
    ASSERT_TRUE(explanation);
    EXPECT_TRUE(explanation->decision.verdicts.at(0).matches);
    EXPECT_EQ(explanation->effective.values.get(Setting::ReadDeadline), 0U);
    EXPECT_EQ(explanation->effective.source(Setting::ReadDeadline).origin, policy::Origin::Default);
    EXPECT_EQ(registry.find(3)->rule, "");
}

TEST_F(GovernorTest, WhatCannotBeKeptIsNotSet) {
    add();
    breakStore();
    EXPECT_FALSE(governor->set(3, of(7)));
    EXPECT_EQ(kernel.changes, 0);
    EXPECT_TRUE(governor->reload());
    EXPECT_EQ(deadline(), 0U);
}

TEST_F(GovernorTest, WhatCannotBeForgottenIsNotReset) {
    add();
    ASSERT_TRUE(governor->set(3, of(7)));
    breakStore();
    EXPECT_FALSE(governor->reset(3, {}));
    EXPECT_EQ(deadline(), 7U);
    EXPECT_TRUE(governor->reload());
    EXPECT_EQ(deadline(), 7U);
}

TEST_F(GovernorTest, ResetThatTheKernelRefusesIsNone) {
    add();
    ASSERT_TRUE(governor->set(3, of(7)));
    kernel.refuse = EINVAL;
    EXPECT_FALSE(governor->reset(3, {}));
    kernel.refuse = 0;
    EXPECT_TRUE(governor->reload());
    EXPECT_EQ(deadline(), 7U);
    EXPECT_FALSE(std::filesystem::is_empty(directory / "set"));
}

TEST_F(GovernorTest, DefaultsSetByHandAreSetAgainWhenTheModuleIsLoadedAgain) {
    add();
    ASSERT_TRUE(governor->setDefaults({{}, of(9)}));
    EXPECT_EQ(deadline(), 9U);
    loadAnew();
    EXPECT_EQ(defaultForOthers(), 9U);
    EXPECT_EQ(governor->defaults(), kernel.defaults);
    EXPECT_EQ(deadline(), 9U);
}

TEST_F(GovernorTest, DefaultsThatSomebodyElseSetCountAsSetByHand) {
    add();
    ASSERT_TRUE(governor->setDefaults({{}, of(9)}));
    governor->defaultsChanged({{}, of(8)});
    kernel.defaults.others = of(5); // while news were lost
    add();
    EXPECT_EQ(defaultForOthers(), 5U);
    loadAnew();
    EXPECT_EQ(defaultForOthers(), 5U);
}

TEST_F(GovernorTest, DefaultsSetByHandOutlastTheDaemon) {
    add();
    ASSERT_TRUE(governor->setDefaults({of(8), {}}));
    governor->defaultsChanged({{}, of(9)});
    startAnew();
    kernel.defaults.privileged = of(60);
    loadAnew();
    EXPECT_EQ(kernel.defaults.privileged, of(8));
    EXPECT_EQ(defaultForOthers(), 9U);
}

TEST_F(GovernorTest, DefaultsThatCannotBeKeptAreNotSet) {
    add();
    breakStore();
    EXPECT_FALSE(governor->setDefaults({{}, of(9)}));
    EXPECT_EQ(defaultForOthers(), 0U);
    loadAnew();
    EXPECT_EQ(defaultForOthers(), 0U);
}

TEST_F(GovernorTest, DefaultsThatTheKernelRefusesAreNotKept) {
    add();
    kernel.refuse = EINVAL;
    EXPECT_FALSE(governor->setDefaults({{}, of(9)}));
    kernel.refuse = 0;
    startAnew();
    loadAnew();
    EXPECT_EQ(defaultForOthers(), 0U);
}

TEST_F(GovernorTest, ValueThatTheModuleDoesNotKnowIsRefused) {
    add();
    policy::Values values;
    values.set(Setting::Retry, 7'000'000);
    EXPECT_EQ(governor->set(3, values).failure().error, EOPNOTSUPP);
    EXPECT_EQ(governor->hold(3, 1, values, "a").failure().error, EOPNOTSUPP);
    EXPECT_EQ(kernel.changes, 0);
}

TEST_F(GovernorTest, AbortedConnectionIsLeftAlone) {
    add();
    kernel.connections.at(3).state = model::State::Aborted;
    registry.apply(kernel.connections.at(3));
    writeRule("[Policy]\nReadDeadlineSec=7\n");
    EXPECT_TRUE(governor->reload());
    EXPECT_EQ(deadline(), 0U);
}

} // namespace
} // namespace fusewb
