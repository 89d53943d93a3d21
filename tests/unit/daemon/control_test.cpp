// SPDX-License-Identifier: GPL-2.0-only
// Policies over the bus: rules, hands and holds.
#include "control_case.h"

#include <gmock/gmock.h>

namespace fusewb {
namespace {

using namespace test;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char *directRule = "[Match]\nSubtype=sshfs\n[Policy]\nWriteback=direct\n"
                                   "WritebackDeadlineSec=30\n";

TEST_F(ControlTest, RuleDecidesAboutAConnectionThatIsAdded) {
    writeRule("50-sshfs.conf", directRule);
    startWith({});
    kernel.add(governed(3));
    ASSERT_TRUE(client->heard("ConnectionAdded /org/fusewb " + pathOf(3)));
    EXPECT_EQ(get(3, "WritebackPolicy"), "\"direct\"");
    EXPECT_EQ(inKernel(3, Setting::Writeback), 1U);
    EXPECT_EQ(inKernel(3, Setting::WritebackDeadline), 30 * second);
    EXPECT_EQ(get(3, "Rule"), "\"50-sshfs.conf\"");
    EXPECT_THAT(get(3, "PolicySources"),
                AllOf(HasSubstr("{\"WritebackPolicy\" \"rule 50-sshfs.conf\"}"),
                      HasSubstr("{\"SyncWaits\" \"default\"}")));
}

TEST_F(ControlTest, ConnectionsThatAreThereAtTheStartAreDecidedAboutToo) {
    writeRule("50-sshfs.conf", directRule);
    KernelFacts other = governed(4);
    other.subtype = "ntfs";
    startWith({governed(3), other});
    EXPECT_EQ(inKernel(3, Setting::Writeback), 1U);
    EXPECT_EQ(inKernel(4, Setting::Writeback), 0U);
    EXPECT_EQ(get(4, "Rule"), "\"\"");
}

TEST_F(ControlTest, WhatIsSoAlreadyIsNotToldToTheKernel) {
    startWith({governed(3)});
    EXPECT_EQ(kernel.changes, 0);
}

TEST_F(ControlTest, RuleByMountPointDecidesOnceItIsMounted) {
    writeRule("50-mnt.conf", "[Match]\nMountPoint=/proc\n[Policy]\nSyncWaits=yes\n");
    KernelFacts facts = governed(3);
    startWith({facts});
    EXPECT_EQ(get(3, "SyncWaits"), "true");
}

TEST_F(ControlTest, RuleByExecutableLooksAtTheProcess) {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    writeRule("50-self.conf", "[Match]\nExecutable=" + self + "\n[Policy]\nSyncWaits=yes\n");
    startWith({governed(3)});
    EXPECT_EQ(get(3, "SyncWaits"), "true");
}

TEST_F(ControlTest, FileWithAnErrorIsLeftOutAtTheStart) {
    writeRule("40-bad.conf", "[Policy]\nSyncWaits=perhaps\n");
    writeRule("50-sshfs.conf", directRule);
    startWith({governed(3)});
    EXPECT_EQ(get(3, "Rule"), "\"50-sshfs.conf\"");
}

TEST_F(ControlTest, RulesInForceOutlastARestartWithAnErrorInAFile) {
    writeRule("50-sshfs.conf", directRule);
    writeRule("60-all.conf", "[Policy]\nSyncWaits=yes\n");
    startWith({governed(3)});
    daemon.reset();
    writeRule("40-new.conf", "[Policy]\nWriteback=copy\n");
    writeRule("50-sshfs.conf", "[Match]\nSubtype=sshfs\n[Policy]\nWriteback=perhaps\n");
    std::filesystem::remove(directory / "rules/60-all.conf");
    kernel.changes = 0;
    start();
    EXPECT_EQ(get(3, "Rule"), "\"50-sshfs.conf\"");
    EXPECT_EQ(inKernel(3, Setting::WritebackDeadline), 30 * second);
    EXPECT_EQ(kernel.changes, 0);
    // They decide about what comes, too, until there is no error any more.
    KernelFacts other = governed(4);
    other.subtype = "ntfs";
    kernel.add(other);
    ASSERT_TRUE(client->heard("ConnectionAdded /org/fusewb " + pathOf(4)));
    EXPECT_EQ(get(4, "Rule"), "\"60-all.conf\"");
    writeRule("50-sshfs.conf", directRule);
    EXPECT_EQ(callManager("Reload").error, "");
    EXPECT_EQ(get(3, "Rule"), "\"40-new.conf\"");
}

TEST_F(ControlTest, RulesOfTheLastReloadAreThoseThatOutlastARestart) {
    writeRule("50-sshfs.conf", directRule);
    startWith({governed(3)});
    std::filesystem::remove(directory / "rules/50-sshfs.conf");
    ASSERT_EQ(callManager("Reload").error, "");
    daemon.reset();
    writeRule("60-bad.conf", "nonsense\n");
    start();
    EXPECT_EQ(get(3, "Rule"), "\"\"");
    EXPECT_EQ(callManager("ListRules").body, "[]");
}

TEST_F(ControlTest, ReloadAppliesToConnectionsThatAreThere) {
    startWith({governed(3)});
    EXPECT_EQ(get(3, "WritebackPolicy"), "\"copy\"");
    writeRule("50-sshfs.conf", directRule);
    EXPECT_EQ(callManager("Reload").error, "");
    EXPECT_EQ(get(3, "WritebackPolicy"), "\"direct\"");
    std::filesystem::remove(directory / "rules/50-sshfs.conf");
    EXPECT_EQ(callManager("Reload").error, "");
    EXPECT_EQ(get(3, "WritebackPolicy"), "\"copy\"");
    EXPECT_EQ(inKernel(3, Setting::WritebackDeadline), 0U);
}

TEST_F(ControlTest, ReloadWithAnErrorChangesNothing) {
    writeRule("50-sshfs.conf", directRule);
    startWith({governed(3)});
    writeRule("50-sshfs.conf", "[Match]\nSubtype=sshfs\n[Policy]\nWriteback=copy\n");
    writeRule("60-bad.conf", "[Policy]\nSyncWaits=perhaps\nRetrySec=x\n");
    const Reply reply = callManager("Reload");
    EXPECT_EQ(reply.error, "org.fusewb1.Error.InvalidRules");
    EXPECT_THAT(reply.message,
                AllOf(HasSubstr("60-bad.conf:2: SyncWaits: \"perhaps\" is neither yes nor no"),
                      HasSubstr("\n"), HasSubstr("60-bad.conf:3: RetrySec")));
    EXPECT_EQ(get(3, "WritebackPolicy"), "\"direct\"");
    EXPECT_THAT(callManager("ListRules").body, HasSubstr("(\"Writeback\" \"direct\")"));
}

TEST_F(ControlTest, RulesAreListedInTheirOrder) {
    writeRule("60-all.conf", "[Policy]\nSyncWaits=yes\n");
    writeRule("50-sshfs.conf", directRule);
    startWith({});
    EXPECT_EQ(callManager("ListRules").body,
              "[(\"50-sshfs.conf\" \"" + (directory / "rules/50-sshfs.conf").string() +
                  "\" [(\"Subtype\" \"sshfs\")] [(\"Writeback\" \"direct\") "
                  "(\"WritebackDeadlineSec\" \"30s\")]) (\"60-all.conf\" \"" +
                  (directory / "rules/60-all.conf").string() + "\" [] [(\"SyncWaits\" \"yes\")])]");
}

TEST_F(ControlTest, ExplanationNamesRuleAndSourceOfEachValue) {
    writeRule("40-ntfs.conf", "[Match]\nSubtype=ntfs\n[Policy]\nWriteback=copy\n");
    writeRule("50-sshfs.conf", directRule);
    writeRule("60-all.conf", "[Policy]\nSyncWaits=yes\n");
    startWith({governed(3)});
    ASSERT_EQ(setDeadline(*client, 7 * second).error, "");
    const Reply reply = explain();
    EXPECT_EQ(reply.error, "");
    EXPECT_THAT(reply.body,
                AllOf(HasSubstr("40-ntfs.conf\" false \"Subtype is sshfs, not ntfs\")"),
                      HasSubstr("50-sshfs.conf\" true \"\")"),
                      HasSubstr("60-all.conf\" false \"not asked, since 50-sshfs.conf decides\")"),
                      HasSubstr("(\"Writeback\" \"direct\" \"rule\" \"50-sshfs.conf\")"),
                      HasSubstr("(\"ReadDeadlineSec\" \"7s\" \"set\" \"\")"),
                      HasSubstr("(\"SyncWaits\" \"no\" \"default\" \"\")")));
}

TEST_F(ControlTest, WhatIsNoConnectionCannotBeExplained) {
    startWith({governed(3)});
    const auto error = [this](const char *path) {
        return client
            ->callWith(
                managerPath, manager, "Explain",
                [path](sd_bus_message *message) { sd_bus_message_append(message, "o", path); })
            .error;
    };
    EXPECT_EQ(error("/org/fusewb/connection/9"), "org.fusewb1.Error.NotFound");
    EXPECT_EQ(error("/org/fusewb/connection/x"), "org.fusewb1.Error.InvalidArgument");
    EXPECT_EQ(error("/org/fusewb"), "org.fusewb1.Error.InvalidArgument");
}

TEST_F(ControlTest, PropertyThatIsWrittenIsInForceAndTold) {
    startWith({governed(3)});
    EXPECT_EQ(setDeadline(*client, 5 * second).error, "");
    EXPECT_EQ(inKernel(3, Setting::ReadDeadline), 5 * second);
    EXPECT_EQ(get(3, "ReadDeadlineUSec"), "5000000");
    EXPECT_TRUE(client->heard("PropertiesChanged " + pathOf(3) + " \"" + connection +
                              "\" [{\"ReadDeadlineUSec\" 5000000}] []"));
    EXPECT_THAT(get(3, "PolicySources"), HasSubstr("{\"ReadDeadlineUSec\" \"set\"}"));
}

TEST_F(ControlTest, EveryValueCanBeWritten) {
    startWith({governed(3)});
    for (const policy::Description &description : policy::settings()) {
        const std::uint64_t number = description.maximum;
        const auto narrow = static_cast<std::uint32_t>(number);
        const int truth = 1;
        const std::string word = policy::formatValue(description, number);
        const std::string name(description.property);
        Reply reply;
        switch (description.kind) {
        case policy::Kind::Choice:
            reply = client->set(pathOf(3), connection, name, 's', word.c_str());
            break;
        case policy::Kind::Duration:
            reply = client->set(pathOf(3), connection, name, 't', &number);
            break;
        case policy::Kind::Boolean:
            reply = client->set(pathOf(3), connection, name, 'b', &truth);
            break;
        case policy::Kind::Percent:
        case policy::Kind::Size:
            reply = client->set(pathOf(3), connection, name, 'u', &narrow);
        }
        EXPECT_EQ(reply.error, "") << name << ": " << reply.message;
        EXPECT_EQ(inKernel(3, description.setting), number) << name;
        EXPECT_NE(get(3, name), "0") << name;
    }
}

TEST_F(ControlTest, ValueThatCannotBeIsRefusedWithWhatWouldBeRight) {
    startWith({governed(3)});
    const Reply fraction = setDeadline(*client, 1);
    EXPECT_EQ(fraction.error, "org.fusewb1.Error.InvalidArgument");
    EXPECT_THAT(fraction.message, HasSubstr("1us is not a number of whole milliseconds"));
    const Reply word = client->set(pathOf(3), connection, "DeadlineAction", 's', "kill");
    EXPECT_EQ(word.error, "org.fusewb1.Error.InvalidArgument");
    EXPECT_THAT(word.message, HasSubstr("\"kill\" is not report, fail or abort"));
    const std::uint32_t ratio = 101;
    EXPECT_EQ(client->set(pathOf(3), connection, "MaxDirtyRatio", 'u', &ratio).error,
              "org.fusewb1.Error.InvalidArgument");
    const std::uint32_t size = 4095;
    EXPECT_THAT(client->set(pathOf(3), connection, "MaxWriteSize", 'u', &size).message,
                HasSubstr("MaxWriteSize: 4095 is neither 0 nor 4K or more"));
    EXPECT_EQ(kernel.changes, 0);
}

TEST_F(ControlTest, SetPolicyTakesAllOrNothing) {
    startWith({governed(3)});
    const auto call = [this](const std::function<void(sd_bus_message *)> &append) {
        return client->callWith(pathOf(3), connection, "SetPolicy", append);
    };
    EXPECT_EQ(call([](sd_bus_message *m) {
                  sd_bus_message_append(m, "a{sv}", 2, "ReadDeadlineUSec", "t",
                                        std::uint64_t{second}, "DeadlineAction", "s", "kill");
              }).error,
              "org.fusewb1.Error.InvalidArgument");
    const Reply unknown =
        call([](sd_bus_message *m) { sd_bus_message_append(m, "a{sv}", 1, "Speed", "s", "high"); });
    EXPECT_EQ(unknown.error, "org.fusewb1.Error.InvalidArgument");
    EXPECT_THAT(unknown.message, HasSubstr("\"Speed\""));
    EXPECT_THAT(call([](sd_bus_message *m) {
                    sd_bus_message_append(m, "a{sv}", 1, "ReadDeadlineUSec", "s", "5s");
                }).message,
                HasSubstr("wrong type"));
    EXPECT_THAT(call([](sd_bus_message *m) { sd_bus_message_append(m, "a{sv}", 0); }).message,
                HasSubstr("no value"));
    EXPECT_EQ(kernel.changes, 0);
    EXPECT_EQ(call([](sd_bus_message *m) {
                  sd_bus_message_append(m, "a{sv}", 2, "ReadDeadlineUSec", "t",
                                        std::uint64_t{second}, "DeadlineAction", "s", "fail");
              }).error,
              "");
    EXPECT_EQ(kernel.changes, 1);
    EXPECT_EQ(inKernel(3, Setting::DeadlineAction), 1U);
}

TEST_F(ControlTest, RefusalOfTheKernelChangesNothing) {
    startWith({governed(3)});
    kernel.refuse = EINVAL;
    EXPECT_EQ(setDeadline(*client, second).error, "org.fusewb1.Error.InvalidArgument");
    kernel.refuse = EPERM;
    const Reply reply = setPolicy(*client, second);
    EXPECT_EQ(reply.error, "org.fusewb1.Error.Refused");
    EXPECT_EQ(reply.message, "the kernel says no");
    kernel.refuse = 0;
    EXPECT_EQ(callManager("Reload").error, "");
    EXPECT_EQ(get(3, "ReadDeadlineUSec"), "0");
}

TEST_F(ControlTest, WhatWasSetByHandOutlastsAReloadUntilItIsReset) {
    startWith({governed(3)});
    const char *copy = "copy";
    ASSERT_EQ(client->set(pathOf(3), connection, "WritebackPolicy", 's', copy).error, "");
    writeRule("50-sshfs.conf", directRule);
    ASSERT_EQ(callManager("Reload").error, "");
    EXPECT_EQ(get(3, "WritebackPolicy"), "\"copy\"");
    EXPECT_EQ(get(3, "WritebackDeadlineUSec"), "30000000");
    EXPECT_EQ(reset(*client, {"WritebackPolicy"}).error, "");
    EXPECT_EQ(get(3, "WritebackPolicy"), "\"direct\"");
    ASSERT_EQ(setDeadline(*client, second).error, "");
    EXPECT_EQ(reset(*client, {}).error, "");
    EXPECT_EQ(get(3, "ReadDeadlineUSec"), "0");
    EXPECT_EQ(reset(*client, {"Speed"}).error, "org.fusewb1.Error.InvalidArgument");
}

TEST_F(ControlTest, WhatWasSetByHandOutlastsTheDaemon) {
    startWith({governed(3)});
    ASSERT_EQ(setDeadline(*client, 5 * second).error, "");
    daemon.reset();
    writeRule("50-all.conf", "[Policy]\nReadDeadlineSec=9\nLockDeadlineSec=9\n");
    start();
    EXPECT_EQ(get(3, "ReadDeadlineUSec"), "5000000");
    EXPECT_EQ(get(3, "LockDeadlineUSec"), "9000000");
    EXPECT_THAT(get(3, "PolicySources"), HasSubstr("{\"ReadDeadlineUSec\" \"set\"}"));
}

TEST_F(ControlTest, WhatWasSetByHandEndsWithTheConnection) {
    startWith({governed(3)});
    ASSERT_EQ(setDeadline(*client, 5 * second).error, "");
    kernel.remove(3);
    ASSERT_TRUE(client->heard("ConnectionRemoved /org/fusewb " + pathOf(3)));
    EXPECT_TRUE(std::filesystem::is_empty(directory / "set"));
}

TEST_F(ControlTest, WhatWasSetForAConnectionThatWentMeanwhileIsForgotten) {
    startWith({governed(3)});
    ASSERT_EQ(setDeadline(*client, 5 * second).error, "");
    daemon.reset();
    KernelFacts other = governed(3);
    other.load = 2;
    kernel.connections[3] = other;
    start();
    EXPECT_EQ(get(3, "ReadDeadlineUSec"), "0");
    EXPECT_TRUE(std::filesystem::is_empty(directory / "set"));
}

TEST_F(ControlTest, WhatSomebodyElseToldTheKernelCountsAsSetByHand) {
    startWith({governed(3)});
    KernelFacts facts = kernel.connections.at(3);
    facts.policy.set(Setting::Retry, 3 * second);
    kernel.add(facts);
    EXPECT_TRUE(client->heard("PropertiesChanged " + pathOf(3) + " \"" + connection +
                              "\" [{\"RetryUSec\" 3000000}] []"));
    EXPECT_THAT(get(3, "PolicySources"), HasSubstr("{\"RetryUSec\" \"set\"}"));
    ASSERT_EQ(callManager("Reload").error, "");
    EXPECT_EQ(inKernel(3, Setting::Retry), 3 * second);
}

TEST_F(ControlTest, NewsThatAreOlderThanWhatWasSetAreNotTakenForSomebodyElses) {
    startWith({governed(3)});
    ASSERT_EQ(setDeadline(*client, 1 * second).error, "");
    ASSERT_EQ(setDeadline(*client, 2 * second).error, "");
    ASSERT_EQ(callManager("ListConnections").error, "");
    EXPECT_EQ(get(3, "ReadDeadlineUSec"), "2000000");
    EXPECT_EQ(inKernel(3, Setting::ReadDeadline), 2 * second);
}

TEST_F(ControlTest, HoldLastsUntilItsLastDescriptorIsClosed) {
    startWith({governed(3)});
    ASSERT_EQ(setDeadline(*client, 5 * second).error, "");
    const Reply held = hold(60 * second);
    ASSERT_EQ(held.error, "") << held.message;
    ASSERT_GE(held.descriptor, 0);
    EXPECT_EQ(get(3, "ReadDeadlineUSec"), "60000000");
    EXPECT_THAT(get(3, "PolicySources"), HasSubstr("{\"ReadDeadlineUSec\" \"hold backup\"}"));
    const int copy = dup(held.descriptor);
    close(held.descriptor);
    EXPECT_EQ(get(3, "ReadDeadlineUSec"), "60000000");
    client->clear();
    close(copy);
    EXPECT_TRUE(client->heard("PropertiesChanged " + pathOf(3) + " \"" + connection +
                              "\" [{\"ReadDeadlineUSec\" 5000000}] []"));
}

TEST_F(ControlTest, HoldEndsWithTheDaemon) {
    startWith({governed(3)});
    ASSERT_EQ(setDeadline(*client, 5 * second).error, "");
    const Reply held = hold(60 * second);
    ASSERT_EQ(held.error, "") << held.message;
    EXPECT_EQ(inKernel(3, Setting::ReadDeadline), 60 * second);
    daemon.reset();
    EXPECT_EQ(inKernel(3, Setting::ReadDeadline), 5 * second);
    close(held.descriptor);
}

TEST_F(ControlTest, HoldDoesNotOutlastADaemonThatDied) {
    startWith({governed(3)});
    ASSERT_EQ(setDeadline(*client, 5 * second).error, "");
    const Reply held = hold(60 * second);
    ASSERT_EQ(held.error, "") << held.message;
    const KernelFacts left = kernel.connections.at(3);
    daemon.reset();
    kernel.connections[3] = left;
    start();
    EXPECT_EQ(get(3, "ReadDeadlineUSec"), "5000000");
    EXPECT_EQ(inKernel(3, Setting::ReadDeadline), 5 * second);
    EXPECT_THAT(get(3, "PolicySources"), HasSubstr("{\"ReadDeadlineUSec\" \"set\"}"));
    close(held.descriptor);
}

TEST_F(ControlTest, DefaultsAreShownAndCanBeWritten) {
    startWith({governed(3)});
    EXPECT_THAT(client->get(managerPath, manager, "PrivilegedPolicy").body,
                HasSubstr("{\"WritebackPolicy\" \"direct\"}"));
    EXPECT_THAT(client->get(managerPath, manager, "OthersPolicy").body,
                AllOf(HasSubstr("{\"WritebackPolicy\" \"copy\"}"), HasSubstr("{\"RetryUSec\" 0}")));
    const Reply reply =
        client->callWith(managerPath, manager, "SetDefaultPolicy", [](sd_bus_message *message) {
            sd_bus_message_append(message, "b", 0);
            appendValue(message, "RequestDeadlineUSec", 8 * second);
        });
    EXPECT_EQ(reply.error, "") << reply.message;
    EXPECT_EQ(kernel.defaults.others.get(Setting::RequestDeadline), 8 * second);
    EXPECT_EQ(kernel.defaults.privileged.get(Setting::RequestDeadline), 0U);
    // Connections without a word on it follow.
    EXPECT_EQ(get(3, "RequestDeadlineUSec"), "8000000");
}

TEST_F(ControlTest, WithoutTheModuleThereAreNoDefaults) {
    start();
    EXPECT_EQ(client->get(managerPath, manager, "OthersPolicy").body, "[]");
}

TEST_F(ControlTest, AbortIsToldWithItsReason) {
    startWith({governed(3)});
    EXPECT_EQ(client->call(pathOf(3), connection, "Abort").error, "");
    EXPECT_TRUE(client->heard("Aborted " + pathOf(3) + " \"requested\""));
    EXPECT_EQ(get(3, "State"), "\"aborted\"");
    EXPECT_EQ(get(3, "AbortReason"), "\"requested\"");
}

TEST_F(ControlTest, ExpiryIsToldWithWhatAnOperatorNeeds) {
    startWith({governed(3)});
    model::Expiry expiry;
    expiry.request.connection = 3;
    expiry.request.unique = 77;
    expiry.request.opcode = 16;
    expiry.request.operations = model::Class::Writeback;
    expiry.request.ageUSec = 30 * second;
    expiry.request.pid = 4242;
    expiry.action = 2;
    kernel.expire(expiry);
    EXPECT_TRUE(client->heard("DeadlineExpired " + pathOf(3) +
                              " 77 \"WRITE\" \"writeback\" 30000000 4242 \"abort\""));
}

TEST_F(ControlTest, RequestsAreListedTheOldestFirst) {
    startWith({governed(3)});
    model::Request request{.connection = 3,
                           .unique = 5,
                           .opcode = 15,
                           .operations = model::Class::Read,
                           .nodeId = 9,
                           .state = model::RequestState::Sent,
                           .ageUSec = 2 * second,
                           .pid = 4242,
                           .uid = 1000,
                           .deadlineUSec = 30 * second,
                           .bytes = 4096};
    kernel.requests.push_back(request);
    request.unique = 4;
    request.ageUSec = 3 * second;
    request.pid = 0;
    request.uid.reset();
    kernel.requests.push_back(request);
    request.unique = 6;
    request.ageUSec = 10;
    kernel.requests.push_back(request);
    const Reply reply =
        client->callWith(pathOf(3), connection, "ListRequests", [](sd_bus_message *message) {
            sd_bus_message_append(message, "t", std::uint64_t{1000});
        });
    EXPECT_EQ(reply.body, "[(4 \"READ\" \"read\" \"sent\" 3000000 9 0 4294967295 30000000 4096) "
                          "(5 \"READ\" \"read\" \"sent\" 2000000 9 4242 1000 30000000 4096)]");
}

TEST_F(ControlTest, ServerThatDoesNotAnswerIsReportedBeforeSleep) {
    startWith({governed(3), governed(4)});
    model::Request request;
    request.connection = 3;
    request.opcode = 16;
    request.ageUSec = 5 * second;
    kernel.requests.push_back(request);
    request.connection = 4;
    request.ageUSec = 10;
    kernel.requests.push_back(request);
    const auto sleep = [this](bool begins) {
        testing::internal::CaptureStderr();
        client->say("org.freedesktop.login1", "/org/freedesktop/login1",
                    "org.freedesktop.login1.Manager", "PrepareForSleep", begins);
        callManager("ListConnections");
        return testing::internal::GetCapturedStderr();
    };
    const std::string said = sleep(true);
    EXPECT_THAT(said, HasSubstr("server of connection 3"));
    EXPECT_THAT(said, HasSubstr("has not answered WRITE for 5s"));
    EXPECT_EQ(said.find("connection 4"), std::string::npos);
    EXPECT_EQ(sleep(false), "");
}

TEST_F(ControlTest, LatenciesAreShownByClass) {
    KernelFacts facts = governed(3);
    facts.latencies[1][5] = 17;
    startWith({facts});
    EXPECT_THAT(get(3, "Latencies"), HasSubstr("{\"metadata\" [0 0 0 0 0 17 0"));
}

} // namespace
} // namespace fusewb
