// SPDX-License-Identifier: GPL-2.0-only
// Who may do what over the bus: root, and whom polkit lets.
#include "bus/bouncer.h"
#include "control_case.h"

#include <chrono>
#include <gmock/gmock.h>
#include <regex>
#include <sstream>

namespace fusewb {
namespace {

using namespace test;
using testing::HasSubstr;

constexpr uid_t stranger = 65534;

// What a caller without rights must not get done.
class StrangerTest : public ControlTest {
protected:
    void SetUp() override {
        if (geteuid() != 0)
            GTEST_SKIP() << "becoming another user takes root";
        startWith({governed(3)});
        other = std::make_unique<Client>(loop.get(), bus.address(), stranger);
    }

    std::unique_ptr<Client> other;
};

constexpr const char *denied = "org.freedesktop.DBus.Error.AccessDenied";

TEST_F(StrangerTest, WithoutPolkitNothingIsChanged) {
    EXPECT_EQ(setDeadline(*other, second).error, denied);
    EXPECT_EQ(setPolicy(*other, second, true).error, denied);
    EXPECT_EQ(reset(*other, {}).error, denied);
    EXPECT_EQ(other->call(pathOf(3), connection, "Abort").error, denied);
    EXPECT_EQ(other->call(managerPath, manager, "Reload").error, denied);
    EXPECT_EQ(kernel.changes, 0);
    EXPECT_EQ(other->call(managerPath, manager, "ListRules").error, "");
    EXPECT_EQ(other->call(managerPath, manager, "ListConnections").error, "");
    EXPECT_EQ(other->get(pathOf(3), connection, "ReadDeadlineUSec").body, "0");
}

TEST_F(StrangerTest, EveryWritablePropertyIsRefused) {
    for (const policy::Description &description : policy::settings()) {
        const std::uint64_t number = 0;
        const Reply reply =
            description.kind == policy::Kind::Choice
                ? other->set(pathOf(3), connection, std::string(description.property), 's', "copy")
            : description.kind == policy::Kind::Duration
                ? other->set(pathOf(3), connection, std::string(description.property), 't', &number)
            : description.kind == policy::Kind::Boolean
                ? other->set(pathOf(3), connection, std::string(description.property), 'b', &number)
                : other->set(pathOf(3), connection, std::string(description.property), 'u',
                             &number);
        EXPECT_EQ(reply.error, denied) << description.property;
    }
}

// An argument of that type, which is looked at after the caller only.
void appendAny(sd_bus_message *message, const std::string &type) {
    switch (type[0]) {
    case 'a':
        sd_bus_message_open_container(message, 'a', type.c_str() + 1);
        sd_bus_message_close_container(message);
        break;
    case 'h':
        sd_bus_message_append(message, "h", STDERR_FILENO);
        break;
    case 's':
        sd_bus_message_append(message, "s", "");
        break;
    case 'o':
        sd_bus_message_append(message, "o", "/");
        break;
    default:
        sd_bus_message_append(message, type.c_str(), std::uint64_t{0});
    }
}

// As the XML has them, so that a new one is among them; but what everybody may ask.
TEST_F(StrangerTest, EveryMethodIsRefused) {
    const FakePolkit polkit(bus.address(), {});
    const std::regex method("<method name=\"(\\w+)\">([^]*?)</method>");
    const std::regex argument("<arg name=\"\\w+\" type=\"([^\"]+)\" direction=\"in\"/>");
    int refused = 0;
    for (const std::string name : {"Manager", "Connection"}) {
        std::ifstream file(std::string(FUSEWB_BUS_XML) + "/org.fusewb1." + name + ".xml");
        std::stringstream text;
        text << file.rdbuf();
        const std::string xml = text.str();
        for (std::sregex_iterator found(xml.begin(), xml.end(), method), end; found != end;
             ++found) {
            const std::string member = (*found)[1];
            if (bus::accessFor("org.fusewb1." + name, member) == bus::Access::Look)
                continue;
            const std::string arguments = (*found)[2];
            const Reply reply = other->callWith(
                name == "Manager" ? managerPath : pathOf(3), "org.fusewb1." + name, member,
                [&](sd_bus_message *message) {
                    for (std::sregex_iterator each(arguments.begin(), arguments.end(), argument);
                         each != end; ++each)
                        appendAny(message, (*each)[1]);
                });
            EXPECT_EQ(reply.error, denied) << member;
            ++refused;
        }
    }
    EXPECT_GE(refused, 11);
    EXPECT_EQ(kernel.changes, 0);
}

TEST_F(StrangerTest, PolkitsYesIsEnough) {
    const FakePolkit polkit(bus.address(),
                            {{"org.fusewb1.manage-policy", 'y'}, {"org.fusewb1.inspect", 'y'}});
    EXPECT_EQ(setPolicy(*other, 2 * second).error, "");
    EXPECT_EQ(inKernel(3, Setting::ReadDeadline), 2 * second);
    EXPECT_EQ(other->call(managerPath, manager, "ListRules").error, "");
    EXPECT_EQ(other->call(pathOf(3), connection, "Abort").error, "");
}

TEST_F(StrangerTest, PolkitsNoIsFinal) {
    const FakePolkit polkit(bus.address(), {{"org.fusewb1.manage-own-connection", 'y'}});
    EXPECT_EQ(other->call(managerPath, manager, "ListRules").error, denied);
    EXPECT_EQ(setPolicy(*other, second, true).error, denied);
}

TEST_F(StrangerTest, WhoMayNotWriteAPropertyIsToldWhatToCall) {
    const FakePolkit polkit(bus.address(), {{"org.fusewb1.manage-policy", 'y'}});
    const Reply reply = setDeadline(*other, second);
    EXPECT_EQ(reply.error, denied);
    EXPECT_THAT(reply.message, HasSubstr("SetPolicy()"));
    const Reply defaults =
        other->callWith(managerPath, properties, "Set", [](sd_bus_message *message) {
            sd_bus_message_append(message, "ssv", manager, "OthersPolicy", "a{sv}", 0);
        });
    EXPECT_EQ(defaults.error, denied);
    EXPECT_THAT(defaults.message, HasSubstr("SetDefaultPolicy()"));
    EXPECT_EQ(kernel.changes, 0);
}

// Whoever writes properties without the right to may not keep the daemon from others by it.
TEST_F(StrangerTest, PolkitThatDoesNotAnswerKeepsNobodyWaiting) {
    const FakePolkit polkit(bus.address(), {{"org.fusewb1.manage-policy", 's'}});
    const auto begin = std::chrono::steady_clock::now();
    for (int write = 0; write < 5; ++write)
        EXPECT_EQ(setDeadline(*other, second).error, denied);
    other->post(pathOf(3), connection, "Abort");
    EXPECT_EQ(get(3, "State"), "\"ready\"");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
}

TEST_F(StrangerTest, PasswordIsAskedForWhereTheCallerAllowsIt) {
    const FakePolkit polkit(bus.address(), {{"org.fusewb1.manage-policy", 'c'}});
    constexpr const char *required = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
    EXPECT_EQ(setPolicy(*other, second).error, required);
    EXPECT_EQ(kernel.changes, 0);
    EXPECT_EQ(setPolicy(*other, second, true).error, "");
    EXPECT_EQ(kernel.changes, 1);
}

TEST_F(StrangerTest, OwnConnectionMayBeAbortedWhereAnotherMayNot) {
    KernelFacts mine = governed(4);
    mine.serverUid = stranger;
    kernel.add(mine);
    ASSERT_TRUE(client->heard("ConnectionAdded /org/fusewb " + pathOf(4)));
    const FakePolkit polkit(bus.address(), {{"org.fusewb1.manage-own-connection", 'y'}});
    EXPECT_EQ(other->call(pathOf(3), connection, "Abort").error, denied);
    EXPECT_EQ(other->call(pathOf(4), connection, "Abort").error, "");
    EXPECT_EQ(other
                  ->callWith(pathOf(4), connection, "SetPolicy",
                             [](sd_bus_message *message) {
                                 appendValue(message, "ReadDeadlineUSec", second);
                             })
                  .error,
              denied);
}

TEST(Bouncer, KnowsEveryMethodAndWritablePropertyOfTheInterfaces) {
    for (const std::string name : {"Manager", "Connection"}) {
        std::ifstream file(std::string(FUSEWB_BUS_XML) + "/org.fusewb1." + name + ".xml");
        std::stringstream text;
        text << file.rdbuf();
        const std::string xml = text.str();
        const std::regex member("<method name=\"(\\w+)\"|<property name=\"(\\w+)\" type=\"[^\"]*\" "
                                "access=\"readwrite\"");
        int members = 0;
        for (std::sregex_iterator found(xml.begin(), xml.end(), member), end; found != end;
             ++found) {
            const std::string which = (*found)[1].matched ? (*found)[1] : (*found)[2];
            EXPECT_TRUE(bus::accessFor("org.fusewb1." + name, which)) << which;
            ++members;
        }
        EXPECT_GT(members, 5) << name;
    }
}

TEST(Bouncer, WhatIsNotInTheTableIsDenied) {
    EXPECT_EQ(bus::accessFor(manager, "Format"), std::nullopt);
    EXPECT_EQ(bus::accessFor("org.fusewb2.Manager", "Reload"), std::nullopt);
    EXPECT_EQ(bus::accessFor(connection, "Reload"), std::nullopt);
    EXPECT_EQ(bus::accessFor(manager, "Reload"), bus::Access::Manage);
}

} // namespace
} // namespace fusewb
