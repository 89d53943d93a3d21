// SPDX-License-Identifier: GPL-2.0-only
// Rules about two servers that differ in one thing: what decides, what the module has then, and
// what the bus shows.
#include <fstream>

#include <unistd.h>

#include "support/control.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/mount.h"
#include "support/netlink.h"

using namespace fusewb::test;

namespace {

constexpr uid_t nobody = 65534;

// The deadline for reads of what is mounted there, in milliseconds: the module's, once the property
// on the bus agrees with it, for one of the two is looked at first.
std::uint32_t read_deadline(const std::filesystem::path &mount_point) {
    std::uint32_t milliseconds = 0;
    std::string shown;
    EXPECT_TRUE(wait_until(
        20s,
        [&] {
            Connection connection = Netlink().mounted_at(mount_point);
            milliseconds = connection.policy[FUSEWB_A_POLICY_DEADLINE_READ];
            shown = say("busctl get-property org.fusewb /org/fusewb/connection/" +
                        std::to_string(connection.id) + " org.fusewb1.Connection ReadDeadlineUSec")
                        .text;
            return shown == "t " + std::to_string(std::uint64_t{milliseconds} * 1000) + "\n";
        }))
        << milliseconds << " ms in the module, " << shown;
    return milliseconds;
}

void reload() {
    const Said reloaded = say("systemctl reload fusewbd");
    EXPECT_EQ(reloaded.status, 0) << reloaded.text;
}

std::string rule_for(const std::string &condition, int seconds) {
    return "[Match]\n" + condition + "\n[Policy]\nReadDeadlineSec=" + std::to_string(seconds) +
           "\n";
}

// libfuse's server under a name of its own, mounted by mount(8) in a unit of its own.
class Mounted {
public:
    explicit Mounted(const std::string &name) : unit_("fusewb-guest-" + name) {
        const std::filesystem::path backing = scratch() / (name + "-backing");
        std::filesystem::create_directories(backing);
        std::filesystem::create_directories(point_ = scratch() / (name + "-mnt"));
        const std::string original = say("command -v passthrough_ll").text;
        if (original.empty())
            throw Skip("passthrough_ll is not in PATH");
        program_ = scratch() / ("server-" + name);
        std::filesystem::copy_file(original.substr(0, original.find('\n')), program_);
        const Said said = say("systemd-run -q --collect -p Type=forking --unit=" + unit_ +
                              " mount -t fusewb " + "'" + program_.string() + "#'" + " " +
                              quoted(point_) + " -o writeback,source=" + backing.string());
        EXPECT_EQ(said.status, 0) << said.text << say("journalctl -o cat -u " + unit_).text;
    }
    ~Mounted() {
        EXPECT_TRUE(
            wait_until(20s, [this] { return say("umount " + quoted(point_)).status == 0; }));
        EXPECT_TRUE(
            wait_until(20s, [this] { return say("systemctl is-active " + unit_).status != 0; }));
    }
    Mounted(const Mounted &) = delete;
    Mounted &operator=(const Mounted &) = delete;

    const std::filesystem::path &point() const { return point_; }
    const std::filesystem::path &program() const { return program_; }
    std::string unit() const { return unit_ + ".service"; }

private:
    const std::string unit_;
    std::filesystem::path point_;
    std::filesystem::path program_;
};

} // namespace

GUEST_TEST(ControlPlane, RulesByExecutableAndUnitDecideLiveAboutTwoServers) {
    needs_daemon();
    const Mounted first("first");
    const Mounted second("second");
    const std::uint32_t before = read_deadline(second.point());
    const Rule rule(rule_for("Executable=" + first.program().string(), 7));
    reload();
    EXPECT_EQ(read_deadline(first.point()), 7000u);
    EXPECT_EQ(read_deadline(second.point()), before);

    rule.rewrite(rule_for("Executable=" + second.program().string(), 8));
    reload();
    EXPECT_EQ(read_deadline(first.point()), before);
    EXPECT_EQ(read_deadline(second.point()), 8000u);

    rule.rewrite(rule_for("Unit=" + first.unit(), 9));
    reload();
    EXPECT_EQ(read_deadline(first.point()), 9000u);
    EXPECT_EQ(read_deadline(second.point()), before);

    rule.rewrite(rule_for("Unit=fusewb-guest-*.service", 10));
    reload();
    EXPECT_EQ(read_deadline(first.point()), 10000u);
    EXPECT_EQ(read_deadline(second.point()), 10000u);
    write_file(first.point() / "file", "still served");
}

// Of two that root mounted: who opened the device counts, and it is known before a server answers.
GUEST_TEST(ControlPlane, RuleByUserDecidesByWhoOpenedTheDevice) {
    needs_daemon();
    Rule rule(rule_for("User=nobody", 7));
    reload();
    Fd roots = open_device();
    check(seteuid(nobody), "become nobody");
    Fd nobodys = open_device();
    check(seteuid(0), "become root again");
    const Mount first(scratch() / "first", roots, "");
    const Mount second(scratch() / "second", nobodys, "");
    EXPECT_TRUE(wait_until(20s, [&] { return read_deadline(second.path()) == 7000; }));
    const std::uint32_t before = read_deadline(first.path());
    EXPECT_NE(before, 7000u);

    rule.rewrite(rule_for("User=0\nMountPoint=" + first.path().string(), 8));
    reload();
    EXPECT_EQ(read_deadline(first.path()), 8000u);
    EXPECT_NE(read_deadline(second.path()), 7000u);
    EXPECT_NE(read_deadline(second.path()), 8000u);
    // Nobody serves them: unmounting waits for no answer then.
    roots = Fd();
    nobodys = Fd();
}

GUEST_TEST(ControlPlane, SighupReadsTheRulesAnew) {
    needs_daemon();
    Passthrough server;
    const std::filesystem::path point = server.mount().path();
    const Rule rule("[Policy]\nReadDeadlineSec=7\n");
    EXPECT_NE(read_deadline(point), 7000u);
    ASSERT_EQ(say("systemctl kill -s HUP fusewbd").status, 0);
    EXPECT_TRUE(wait_until(20s, [&] { return value(server, "ReadDeadlineSec") == "7s"; }));
    EXPECT_EQ(read_deadline(point), 7000u);
    rule.rewrite("[Policy]\nReadDeadlineSec=soon\n");
    ASSERT_EQ(say("systemctl kill -s HUP fusewbd").status, 0);
    EXPECT_TRUE(wait_until(20s, [] {
        return say("journalctl -q -o cat -u fusewbd")
                   .text.find("the rules that were in force stay in force") != std::string::npos;
    }));
    EXPECT_EQ(read_deadline(point), 7000u);
    // And over a restart.
    ASSERT_EQ(say("systemctl restart fusewbd").status, 0);
    EXPECT_EQ(read_deadline(point), 7000u);
    expect_has(ctl("policy explain " + quoted(point)), "rule 10-guest-test.conf");
}
