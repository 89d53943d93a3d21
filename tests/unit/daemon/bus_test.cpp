// SPDX-License-Identifier: GPL-2.0-only
// What the bus shows of module and connections.
#include "bus_case.h"

#include <gmock/gmock.h>
#include <regex>
#include <set>
#include <sstream>

namespace fusewb {
namespace {

using model::KernelFacts;
using model::State;
using testing::Contains;
using testing::HasSubstr;
using namespace test;

std::string attribute(const std::string &tag, const std::string &name) {
    std::smatch found;
    return std::regex_search(tag, found, std::regex(" " + name + "=\"([^\"]*)\"")) ? found[1].str()
                                                                                   : std::string();
}

// The members of the interface in introspection XML, each with its types, its access, and whether
// it says how it changes. Names of arguments are for people.
std::set<std::string> membersOf(const std::string &xml, const std::string &interface) {
    std::set<std::string> members;
    std::string member;
    bool inside = false;
    const std::regex tags("<!--[^]*?-->|<(/?)(\\w+)([^>]*)>");
    for (std::sregex_iterator tag(xml.begin(), xml.end(), tags), end; tag != end; ++tag) {
        const std::string kind = (*tag)[2];
        const std::string rest = (*tag)[3];
        const bool closes = (*tag)[1].length() != 0 || rest.ends_with('/');
        if (kind == "interface") {
            inside = !closes && attribute(rest, "name") == interface;
            continue;
        }
        if (!inside)
            continue;
        if (kind == "arg") {
            const std::string direction = attribute(rest, "direction");
            member += " " + (direction.empty() ? "out" : direction) + ":" + attribute(rest, "type");
        } else if (kind == "annotation") {
            const std::string name = attribute(rest, "name");
            if (name == "org.freedesktop.DBus.Property.EmitsChangedSignal" &&
                attribute(rest, "value") != "true")
                member += " changes:" + attribute(rest, "value");
        } else if ((*tag)[1].length() == 0) {
            member = kind + " " + attribute(rest, "name") + " " + attribute(rest, "type") +
                     attribute(rest, "access");
        }
        if (closes && kind != "arg" && kind != "annotation")
            members.insert(member);
    }
    return members;
}

TEST_F(BusTest, IntrospectionIsTheInterfaceXml) {
    startWith({own(3)});
    for (const auto &[path, name] :
         {std::pair(std::string(managerPath), manager), std::pair(pathOf(3), connection)}) {
        const Reply live = client->call(path, "org.freedesktop.DBus.Introspectable", "Introspect");
        ASSERT_EQ(live.error, "");
        std::ifstream file(std::string(FUSEWB_BUS_XML) + "/" + name + ".xml");
        std::stringstream text;
        text << file.rdbuf();
        const auto written = membersOf(text.str(), name);
        EXPECT_GT(written.size(), 12U) << name;
        EXPECT_EQ(membersOf(live.body, name), written);
    }
}

TEST_F(BusTest, WithoutTheModuleThereIsAManagerAndNoConnection) {
    start();
    EXPECT_EQ(callManager("ListConnections").body, "[]");
    EXPECT_EQ(client->get(managerPath, manager, "Version").body, "\"1.2.3\"");
    EXPECT_EQ(client->get(managerPath, manager, "ModuleVersion").body, "\"\"");
    EXPECT_EQ(client->get(managerPath, manager, "ProtocolMinor").body, "0");
}

TEST_F(BusTest, ListHasEveryConnectionInOrder) {
    startWith({own(12), own(3), hidden(7)});
    EXPECT_EQ(callManager("ListConnections").body,
              "[" + pathOf(3) + " " + pathOf(7) + " " + pathOf(12) + "]");
    EXPECT_EQ(client->get(managerPath, manager, "ModuleVersion").body, "\"9.8.7\"");
    EXPECT_EQ(client->get(managerPath, manager, "ProtocolMinor").body, "38");
}

TEST_F(BusTest, ConnectionHasItsProperties) {
    startWith({own(3)});
    EXPECT_THAT(get(3, "MountPoints"), HasSubstr("\"/proc\""));
    EXPECT_EQ(get(3, "Device"), std::to_string(own(3).device));
    EXPECT_EQ(get(3, "State"), "\"ready\"");
    EXPECT_EQ(get(3, "Writeback"), "\"direct\"");
    EXPECT_EQ(get(3, "ServerPid"), std::to_string(getpid()));
    EXPECT_EQ(get(3, "ServerUid"), "1234");
    EXPECT_EQ(get(3, "ServerExecutable"),
              "\"" + std::filesystem::read_symlink("/proc/self/exe").string() + "\"");
    EXPECT_EQ(get(3, "Subtype"), "\"sshfs\"");
    EXPECT_EQ(get(3, "ProtocolMinor"), "38");
    EXPECT_EQ(get(3, "MaxWrite"), "1048576");
    EXPECT_EQ(get(3, "MaxRead"), "131072");
    EXPECT_EQ(get(3, "BytesDirect"), "5000000000");
}

TEST_F(BusTest, EveryCounterIsShownUnderItsName) {
    KernelFacts facts = hidden(3);
    facts.counters = {.requests = 1,
                      .answers = 2,
                      .waiting = 3,
                      .writeRequests = 4,
                      .bytesDirect = 5,
                      .bytesCopied = 6,
                      .bytesRead = 7,
                      .bytesInFlight = 8,
                      .skipped = 9,
                      .writeErrors = 10,
                      .deadlines = 11,
                      .migrateAgain = 12,
                      .malformed = 13,
                      .retargets = 14,
                      .retries = 15};
    startWith({facts});
    int value = 0;
    for (const char *counter :
         {"Requests", "Answers", "Waiting", "WriteRequests", "BytesDirect", "BytesCopied",
          "BytesRead", "BytesInFlight", "Skipped", "WriteErrors", "Deadlines", "MigrateAgain",
          "Malformed", "Retargets", "Retries"})
        EXPECT_EQ(get(3, counter), std::to_string(++value)) << counter;
}

TEST_F(BusTest, CountersAreReadWhenAskedForAndTogether) {
    startWith({own(3)});
    kernel.connections.at(3).counters.bytesDirect = 77;
    kernel.connections.at(3).counters.answers = 78;
    kernel.fetches = 0;
    const Reply all = client->call(pathOf(3), properties, "GetAll", {connection});
    EXPECT_THAT(all.body, HasSubstr("{\"BytesDirect\" 77}"));
    EXPECT_THAT(all.body, HasSubstr("{\"Answers\" 78}"));
    EXPECT_EQ(kernel.fetches, 1);
    kernel.connections.at(3).counters.bytesDirect = 79;
    EXPECT_EQ(get(3, "BytesDirect"), "79");
    EXPECT_EQ(kernel.fetches, 2);
}

TEST_F(BusTest, ManagedObjectsHaveConnectionsWithTheirProperties) {
    startWith({own(3), hidden(7)});
    const Reply objects =
        client->call(managerPath, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
    EXPECT_THAT(objects.body, HasSubstr(pathOf(3)));
    EXPECT_THAT(objects.body, HasSubstr(pathOf(7)));
    EXPECT_THAT(objects.body, HasSubstr("{\"Subtype\" \"sshfs\"}"));
}

TEST_F(BusTest, FindByMountPoint) {
    startWith({own(3), hidden(7)});
    EXPECT_EQ(callManager("FindConnectionByMountPoint", {"/proc"}).body, pathOf(3));
    EXPECT_EQ(callManager("FindConnectionByMountPoint", {"/proc/"}).body, pathOf(3));
}

TEST_F(BusTest, FindByServerPid) {
    startWith({own(3), hidden(7)});
    EXPECT_EQ(client
                  ->callWithNumber(managerPath, manager, "FindConnectionByServerPid",
                                   static_cast<std::uint32_t>(getpid()))
                  .body,
              pathOf(3));
}

TEST_F(BusTest, WhatIsNotThereIsNotFound) {
    startWith({own(3)});
    const Reply mount = callManager("FindConnectionByMountPoint", {"/nowhere"});
    EXPECT_EQ(mount.error, "org.fusewb1.Error.NotFound");
    EXPECT_THAT(mount.message, HasSubstr("/nowhere"));
    const Reply pid = client->callWithNumber(managerPath, manager, "FindConnectionByServerPid", 1);
    EXPECT_EQ(pid.error, "org.fusewb1.Error.NotFound");
    EXPECT_THAT(pid.message, HasSubstr("process 1 "));
}

TEST_F(BusTest, WhatCannotBeIsAnInvalidArgument) {
    startWith({own(3)});
    for (const char *path : {"", "proc", "./proc"})
        EXPECT_EQ(callManager("FindConnectionByMountPoint", {path}).error,
                  "org.fusewb1.Error.InvalidArgument");
    for (const std::uint32_t pid : {0U, 0x80000000U, 0xffffffffU})
        EXPECT_EQ(
            client->callWithNumber(managerPath, manager, "FindConnectionByServerPid", pid).error,
            "org.fusewb1.Error.InvalidArgument");
}

TEST_F(BusTest, PropertiesCannotBeSet) {
    startWith({own(3)});
    const Reply reply = client->call(pathOf(3), properties, "Set", {connection, "Subtype"});
    EXPECT_FALSE(reply.error.empty());
    EXPECT_EQ(get(3, "Subtype"), "\"sshfs\"");
}

TEST_F(BusTest, AddedConnectionIsAnnouncedWithItsProperties) {
    startWith({});
    kernel.add(own(3));
    ASSERT_TRUE(client->heard("ConnectionAdded /org/fusewb " + pathOf(3)));
    EXPECT_THAT(client->signals(), Contains(HasSubstr("InterfacesAdded /org/fusewb " + pathOf(3))));
    EXPECT_THAT(client->signals(), Contains(HasSubstr("{\"Subtype\" \"sshfs\"}")));
    EXPECT_EQ(get(3, "State"), "\"ready\"");
}

TEST_F(BusTest, RemovedConnectionIsAnnouncedAndItsObjectIsGone) {
    startWith({own(3), hidden(7)});
    kernel.remove(3);
    ASSERT_TRUE(client->heard("ConnectionRemoved /org/fusewb " + pathOf(3)));
    EXPECT_THAT(client->signals(), Contains("InterfacesRemoved /org/fusewb " + pathOf(3) +
                                            " [\"org.fusewb1.Connection\"]"));
    EXPECT_EQ(get(3, "State"), "org.freedesktop.DBus.Error.UnknownObject");
    EXPECT_EQ(callManager("ListConnections").body, "[" + pathOf(7) + "]");
}

TEST_F(BusTest, ConnectionThatBecomesReadySaysWhatChanged) {
    KernelFacts facts = own(3, State::Init);
    facts.writeback = model::Writeback::Through;
    startWith({facts});
    kernel.add(own(3, State::Ready));
    ASSERT_TRUE(client->heard("PropertiesChanged " + pathOf(3) +
                              " \"org.fusewb1.Connection\" [{\"State\" \"ready\"} "
                              "{\"Writeback\" \"direct\"}] []"));
}

TEST_F(BusTest, AbortIsNoticedWhenAPropertyIsRead) {
    startWith({own(3)});
    kernel.connections.at(3).state = State::Aborted;
    EXPECT_EQ(get(3, "State"), "\"aborted\"");
    EXPECT_TRUE(client->heard("PropertiesChanged " + pathOf(3) +
                              " \"org.fusewb1.Connection\" [{\"State\" \"aborted\"}] []"));
}

TEST_F(BusTest, ConnectionWhoseRemovalIsOnTheWayShowsWhatWasKnown) {
    startWith({own(3)});
    kernel.connections.clear();
    EXPECT_EQ(get(3, "BytesDirect"), "5000000000");
    EXPECT_EQ(callManager("ListConnections").body, "[" + pathOf(3) + "]");
}

TEST_F(BusTest, ModuleThatComesAndGoesIsToldOf) {
    start();
    kernel.load({"9.8.7", 7, 38});
    ASSERT_TRUE(client->heard("PropertiesChanged /org/fusewb \"org.fusewb1.Manager\" "
                              "[{\"ModuleVersion\" \"9.8.7\"} {\"ProtocolMinor\" 38}] []"));
    kernel.add(own(3));
    ASSERT_TRUE(client->heard("ConnectionAdded /org/fusewb " + pathOf(3)));
    client->clear();
    kernel.unload();
    ASSERT_TRUE(client->heard("PropertiesChanged /org/fusewb \"org.fusewb1.Manager\" "
                              "[{\"ModuleVersion\" \"\"} {\"ProtocolMinor\" 0}] []"));
    EXPECT_THAT(client->signals(), Contains("ConnectionRemoved /org/fusewb " + pathOf(3)));
    EXPECT_EQ(callManager("ListConnections").body, "[]");
}

TEST_F(BusTest, NumberUsedAnewAfterAReloadIsAnotherObject) {
    startWith({own(3)});
    kernel.unload();
    kernel.load({"9.8.8", 7, 38});
    KernelFacts other = hidden(3);
    kernel.add(other);
    ASSERT_TRUE(client->heard("ConnectionAdded /org/fusewb " + pathOf(3)));
    EXPECT_EQ(get(3, "Device"), std::to_string(other.device));
    EXPECT_EQ(get(3, "MountPoints"), "[]");
}

TEST_F(BusTest, RestartedDaemonShowsTheSame) {
    startWith({own(3), hidden(7)});
    const std::string before = callManager("ListConnections").body;
    daemon.reset();
    start();
    EXPECT_EQ(callManager("ListConnections").body, before);
    EXPECT_EQ(get(3, "Subtype"), "\"sshfs\"");
}

TEST_F(BusTest, NameThatIsTakenIsAFailure) {
    start();
    FakeLink::Kernel other;
    const auto second = makeDaemon(other);
    const Outcome started = second->start();
    ASSERT_FALSE(started);
    EXPECT_THAT(started.failure().what, HasSubstr("org.fusewb"));
}

TEST_F(BusTest, BusThatIsNotThereIsAFailure) {
    client.reset();
    bus.stop();
    daemon = makeDaemon();
    const Outcome started = daemon->start();
    ASSERT_FALSE(started);
    EXPECT_THAT(started.failure().what, HasSubstr("bus"));
}

TEST_F(BusTest, BusThatWasRestartedIsJoinedAgain) {
    startWith({own(3)});
    client.reset();
    bus.stop();
    // What happens meanwhile is taken in.
    kernel.add(hidden(7));
    kernel.remove(3);
    for (int turn = 0; turn < 10; ++turn)
        sd_event_run(loop.get(), 50'000);
    bus.start();
    client = std::make_unique<Client>(loop.get(), bus.address());
    std::string answer;
    for (int turn = 0; turn < 100 && answer.empty(); ++turn) {
        answer = callManager("ListConnections").body;
        sd_event_run(loop.get(), 50'000);
    }
    EXPECT_EQ(answer, "[" + pathOf(7) + "]");
}

TEST_F(BusTest, LoopEndsWithAFailureWhenTheKernelCannotBeReached) {
    start();
    kernel.fail();
    EXPECT_EQ(sd_event_loop(loop.get()), EXIT_FAILURE);
}

TEST_F(BusTest, IdleDaemonDoesNotWakeUp) {
    start();
    ASSERT_EQ(callManager("ListConnections").error, "");
    client.reset();
    // What the departure of the client leaves to do comes first; then there is nothing.
    int turns = 0;
    while (sd_event_run(loop.get(), 200'000) > 0 && turns < 100)
        ++turns;
    EXPECT_LT(turns, 100);
}

} // namespace
} // namespace fusewb
