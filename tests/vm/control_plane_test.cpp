// SPDX-License-Identifier: GPL-2.0-only
// The walk-through of an administrator: rules, hands and deadlines on live mounts, with the daemon
// and its tools as they are installed.
#include "support/control.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
#include "support/task.h"
#include "walk_through.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace {

using namespace fusewb::test;

GUEST_TEST(ControlPlane, RuleDecidesLiveAboutTwoServers) {
    needs_daemon();
    const Passthrough first({.name = "first"});
    const Passthrough second({.name = "second"});
    const std::string before = value(second, "ReadDeadlineSec");
    const Rule rule("[Match]\nMountPoint=" + first.mnt().parent_path().string() +
                    "\n[Policy]\nReadDeadlineSec=7s\n");
    EXPECT_EQ(value(first, "ReadDeadlineSec"), before);
    const Said reloaded = say("systemctl reload fusewbd");
    ASSERT_EQ(reloaded.status, 0) << reloaded.text;
    EXPECT_EQ(value(first, "ReadDeadlineSec"), "7s");
    EXPECT_EQ(value(second, "ReadDeadlineSec"), before);
}

GUEST_TEST(ControlPlane, RuleFileWithAnErrorLeavesWhatHolds) {
    needs_daemon();
    const Passthrough server;
    const std::string before = ctl("policy explain " + quoted(server.mnt()));
    const Rule rule("[Policy]\nReadDeadlineSec=soon\n");
    EXPECT_NE(say("systemctl reload fusewbd").status, 0);
    const Said said = say("fusewbctl policy reload");
    EXPECT_NE(said.status, 0);
    expect_has(said.text, "/etc/fusewb/policy.d/10-guest-test.conf:2: ReadDeadlineSec");
    EXPECT_EQ(ctl("policy explain " + quoted(server.mnt())), before);
}

GUEST_TEST(ControlPlane, WhatIsSetByHandIsInTheKernelAndOutlastsAKilledDaemon) {
    needs_daemon();
    const Passthrough server;
    ctl("set " + quoted(server.mnt()) + " MetadataDeadlineSec=9min SyncWaits=no");
    EXPECT_EQ(value(server, "MetadataDeadlineSec"), "9min");
    say("systemctl kill -s KILL fusewbd");
    ASSERT_TRUE(wait_until(30s, [] { return say("fusewbctl list").status == 0; }));
    EXPECT_EQ(value(server, "MetadataDeadlineSec"), "9min");
    write_file(server.mnt("file"), "still served");
    ctl("set " + quoted(server.mnt()) + " MetadataDeadlineSec= SyncWaits=");
    EXPECT_NE(value(server, "MetadataDeadlineSec"), "9min");
}

GUEST_TEST(ControlPlane, DeadlineOfAStoppedServerIsToldAndItsConnectionCanBeAborted) {
    needs_daemon();
    Passthrough server;
    ctl("set " + quoted(server.mnt()) + " MetadataDeadlineSec=1s DeadlineAction=report");
    const std::filesystem::path heard = scratch() / "heard";
    write_file(heard, "");
    const Task monitor("fusewbctl monitor", [&] {
        const std::string command = "exec fusewbctl monitor --json >" + quoted(heard);
        execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char *>(nullptr));
        return 127;
    });
    // It is there once it has heard of a change.
    ASSERT_TRUE(wait_until(20s, [&] {
        static int minutes = 1;
        ctl("set " + quoted(server.mnt()) + " LockDeadlineSec=" + std::to_string(++minutes) +
            "min");
        return !read_file(heard).empty();
    }));
    server.stop();
    Task asks("stat", [&] {
        std::error_code gone;
        return std::filesystem::exists(server.mnt("none"), gone) ? 1 : 0;
    });
    EXPECT_TRUE(wait_until(20s, [&] {
        return read_file(heard).find("\"DeadlineExpired\"") != std::string::npos;
    })) << read_file(heard);
    expect_has(read_file(heard), "\"operation\":\"LOOKUP\"");
    expect_has(ctl("status " + quoted(server.mnt())), "LOOKUP");
    EXPECT_TRUE(wait_until(20s, [] {
        return say("journalctl -q -o cat -u fusewbd FUSEWB_OPERATION=LOOKUP FUSEWB_ACTION=report")
                   .text.find("has had no answer") != std::string::npos;
    }));
    EXPECT_FALSE(asks.ended());
    ctl("abort " + quoted(server.mnt()));
    EXPECT_TRUE(asks.ends_within(20s));
    EXPECT_TRUE(wait_until(20s, [&] {
        return read_file(heard).find("\"Aborted\"") != std::string::npos;
    })) << read_file(heard);
    expect_has(ctl("list"), "aborted");
}

GUEST_TEST(ControlPlane, UserWithoutRightsChangesNothing) {
    needs_daemon();
    const Passthrough server;
    const std::string before = ctl("policy explain " + quoted(server.mnt()));
    const std::string as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups fusewbctl ";
    for (const std::string &words :
         {"set " + quoted(server.mnt()) + " ReadDeadlineSec=1", "abort " + quoted(server.mnt()),
          std::string("policy reload")}) {
        const Said said = say(as_nobody + words + " </dev/null");
        EXPECT_EQ(said.status, 5) << words << "\n" << said.text;
    }
    EXPECT_EQ(say(as_nobody + "list").status, 0);
    EXPECT_EQ(ctl("policy explain " + quoted(server.mnt())), before);
    write_file(server.mnt("file"), "still served");
}

// Each command as it stands in the document, in one shell that ends at the first that fails.
GUEST_TEST(ControlPlane, WalkThroughHoldsLineByLine) {
    needs_daemon();
    if (say("command -v passthrough_ll").status != 0)
        throw Skip("passthrough_ll is not in PATH");
    // mount(8) gives its helpers a PATH of its own.
    const std::string server = "/usr/local/bin/passthrough_ll";
    const bool lent = !std::filesystem::exists(server);
    if (lent)
        say("ln -s \"$(command -v passthrough_ll)\" " + server);
    const std::filesystem::path script = scratch() / "walk-through.sh";
    std::ofstream out(script);
    out << "set -e\n";
    std::istringstream document(walk_through);
    int commands = 0;
    for (std::string line; std::getline(document, line);)
        if (line.starts_with("    # ")) {
            out << line.substr(6) << "\n";
            ++commands;
        }
    out.close();
    EXPECT_GT(commands, 20);
    const std::filesystem::path log = scratch() / "log";
    const Said said = say("bash -v " + quoted(script) + " >" + quoted(log));
    EXPECT_EQ(said.status, 0) << read_file(log) << said.text;
    if (lent)
        std::filesystem::remove(server);
}

GUEST_TEST(ControlPlane, ModuleLoadedAnewIsFoundByItself) {
    needs_daemon();
    // A server that was killed may still be closing its device.
    ASSERT_TRUE(wait_until(20s, [] { return say("modprobe -r fusewb").status == 0; }));
    EXPECT_TRUE(wait_until(20s, [] {
        return say("busctl get-property org.fusewb /org/fusewb org.fusewb1.Manager ModuleVersion")
                   .text == "s \"\"\n";
    }));
    ASSERT_EQ(say("modprobe fusewb").status, 0);
    EXPECT_TRUE(wait_until(20s, [] {
        return say("busctl get-property org.fusewb /org/fusewb org.fusewb1.Manager ModuleVersion")
                   .text != "s \"\"\n";
    }));
    const Passthrough server;
    EXPECT_TRUE(wait_until(
        20s, [&] { return say("fusewbctl status " + quoted(server.mnt())).status == 0; }));
}

std::string property_of_unit(const std::string &name) {
    const std::string text = say("systemctl show -P " + name + " fusewbd").text;
    return text.substr(0, text.find('\n'));
}

// How often the daemon's threads have gone to sleep, which is as often as they woke.
long long sleeps(const std::string &pid) {
    long long sum = 0;
    for (const auto &thread : std::filesystem::directory_iterator("/proc/" + pid + "/task")) {
        const std::string status = read_file(thread.path() / "status");
        const std::string key = "\nvoluntary_ctxt_switches:";
        const std::size_t at = status.find(key);
        check(at == std::string::npos ? -1 : 0, "the thread's status");
        sum += std::stoll(status.substr(at + key.size()));
    }
    return sum;
}

// With a mount to look after. The one thing it wakes for is to feed systemd's watchdog, some
// minutes apart: a minute that this fell into is followed by another, in which it cannot.
GUEST_TEST(ControlPlane, IdleDaemonSleepsAMinuteThrough) {
    needs_daemon();
    const Passthrough server;
    write_file(server.mnt("file"), "served");
    const std::string pid = property_of_unit("MainPID");
    ASSERT_TRUE(wait_until(60s, [&] {
        const long long before = sleeps(pid);
        std::this_thread::sleep_for(3s);
        return sleeps(pid) == before;
    })) << "it is not idle after a minute of rest";
    for (int minute = 0; minute < 2; ++minute) {
        const std::string fed = property_of_unit("WatchdogTimestampMonotonic");
        const long long before = sleeps(pid);
        std::this_thread::sleep_for(60s);
        const long long woken = sleeps(pid) - before;
        if (property_of_unit("WatchdogTimestampMonotonic") != fed && minute == 0)
            continue;
        EXPECT_EQ(woken, 0);
        break;
    }
    EXPECT_EQ(property_of_unit("MainPID"), pid);
}

// A group's protection is no more than what its ancestors have.
GUEST_TEST(ControlPlane, MemoryOfTheDaemonIsProtectedAllTheWayUp) {
    needs_daemon();
    const std::filesystem::path root = "/sys/fs/cgroup";
    const std::filesystem::path own = root / property_of_unit("ControlGroup").substr(1);
    ASSERT_TRUE(std::filesystem::exists(own / "memory.min")) << own;
    for (std::filesystem::path group = own; group != root; group = group.parent_path())
        EXPECT_GE(std::stoull(read_file(group / "memory.min")), 16ULL << 20) << group;
}

GUEST_TEST(ControlPlane, DaemonIsConfined) {
    needs_daemon();
    const Said said = say("systemd-analyze security --no-pager fusewbd | tail -n 1");
    const std::size_t colon = said.text.rfind(": ");
    ASSERT_NE(colon, std::string::npos) << said.text;
    EXPECT_LE(std::stod(said.text.substr(colon + 2)), 1.5) << said.text;
    expect_has(say("ps -o user= -C fusewbd").text, "fusewb");
}

} // namespace
