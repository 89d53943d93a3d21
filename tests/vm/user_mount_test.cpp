// SPDX-License-Identifier: GPL-2.0-only
// Users without privileges mount through fusewbd and polkit, and what they must not get done.
#include "support/files.h"
#include "support/guest_test.h"
#include "support/mount.h"
#include "support/passthrough.h"
#include "support/task.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sched.h>
#include <sstream>
#include <sys/mount.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

namespace {

using namespace fusewb::test;

constexpr uid_t nobody = 65534;

// polkit lets "nobody" mount, for the length of a test. Without it nobody could: the guest has no
// user who sits in front of it.
class Permission {
public:
    Permission() {
        std::filesystem::create_directories(path_.parent_path());
        std::ofstream(path_) << "polkit.addRule(function(action, subject) {\n"
                                "    if (action.id == \"org.fusewb1.mount\" &&\n"
                                "        subject.user == \"nobody\")\n"
                                "        return polkit.Result.YES;\n"
                                "});\n";
        std::filesystem::permissions(path_, std::filesystem::perms(0644));
        std::filesystem::permissions(path_.parent_path(), std::filesystem::perms(0755));
        restart();
    }
    ~Permission() {
        std::filesystem::remove(path_);
        restart();
    }
    Permission(const Permission &) = delete;
    Permission &operator=(const Permission &) = delete;

private:
    // It would notice the file by itself, but not say when.
    static void restart() {
        EXPECT_EQ(std::system("systemctl reset-failed polkit; systemctl restart polkit"), 0);
    }
    const std::filesystem::path path_ = "/etc/polkit-1/rules.d/10-fusewb-guest-test.rules";
};

struct BusUnref {
    void operator()(sd_bus *bus) const { sd_bus_flush_close_unref(bus); }
    void operator()(sd_bus_message *message) const { sd_bus_message_unref(message); }
};
using Bus = std::unique_ptr<sd_bus, BusUnref>;

Bus open_bus() {
    sd_bus *bus = nullptr;
    check(sd_bus_open_system(&bus) < 0 ? -1 : 0, "the system bus");
    return Bus(bus);
}

// What the call came to: empty if it was done, else what was said.
std::string call(const Bus &bus, const char *method,
                 const std::function<int(sd_bus_message *)> &append) {
    sd_bus_message *made = nullptr;
    check(sd_bus_message_new_method_call(bus.get(), &made, "org.fusewb", "/org/fusewb",
                                         "org.fusewb1.Manager", method) < 0
              ? -1
              : 0,
          "a message");
    const std::unique_ptr<sd_bus_message, BusUnref> message(made);
    check(append(made) < 0 ? -1 : 0, "its arguments");
    sd_bus_error error = SD_BUS_ERROR_NULL;
    std::string said;
    if (sd_bus_call(bus.get(), made, 120'000'000, &error, nullptr) < 0)
        said = std::string(error.name ? error.name : "") + ": " +
               (error.message ? error.message : "no message");
    sd_bus_error_free(&error);
    return said;
}

Fd own_namespace() { return Fd("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC); }

std::string mount_at(const Bus &bus, int device, int place, int name_space,
                     const char *options = "", const char *subtype = "test") {
    return call(bus, "Mount", [&](sd_bus_message *message) {
        return sd_bus_message_append(message, "hhhusss", device, place, name_space,
                                     static_cast<unsigned>(getegid()), "source", subtype, options);
    });
}

std::string unmount_at(const Bus &bus, int root, int name_space) {
    return call(bus, "Unmount", [&](sd_bus_message *message) {
        return sd_bus_message_append(message, "hh", root, name_space);
    });
}

Fd place_at(const std::filesystem::path &path) { return Fd(path, O_PATH | O_CLOEXEC); }

std::filesystem::path own_directory(const std::string &name) {
    const std::filesystem::path path = scratch() / name;
    std::filesystem::permissions(scratch(), std::filesystem::perms(0755));
    std::filesystem::create_directory(path);
    check(chown(path.c_str(), nobody, nobody), "chown");
    return path;
}

// The lines of the mount table that name fusewb.
std::string table() {
    std::istringstream lines(read_file("/proc/self/mountinfo"));
    std::string found;
    for (std::string line; std::getline(lines, line);)
        if (line.find(" - fusewb") != std::string::npos)
            found += line + "\n";
    return found;
}

bool has(const std::string &text, const std::string &part) {
    return text.find(part) != std::string::npos;
}

// Runs the work as nobody, with whose rights its own failures count for the test.
void as_nobody(std::chrono::seconds time, const std::function<void()> &work) {
    Task task("user", [&] {
        become_nobody();
        work();
        return testing::Test::HasFailure() ? 1 : 0;
    });
    ASSERT_TRUE(task.ends_within(time)) << task.where();
    EXPECT_EQ(task.status(), 0);
}

int as_user(uid_t user, const std::string &command) {
    const std::string id = std::to_string(user);
    const int status = std::system(
        ("setpriv --reuid=" + id + " --regid=" + id + " --clear-groups " + command).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int as_nobody(const std::string &command) { return as_user(nobody, command); }

int mount_as_nobody(const std::filesystem::path &source, const std::filesystem::path &place,
                    const std::string &option, const std::string &log) {
    return as_nobody("mount.fusewb passthrough_ll# " + place.string() + " -o " + option +
                     ",source=" + source.string() + " >" + log + " 2>&1");
}

// Whether libmount's table says anything of the mount point.
bool noted(const std::filesystem::path &place) {
    const std::filesystem::path notes = "/run/mount/utab";
    return std::filesystem::exists(notes) &&
           read_file(notes).find("TARGET=" + place.string() + " ") != std::string::npos;
}

GUEST_TEST(UserMount, MountsOnADirectoryOfTheUsersAndTakesItAway) {
    needs_daemon();
    const Permission permission;
    const std::filesystem::path place = own_directory("place");
    const std::filesystem::path source = own_directory("source");
    const std::string log = (scratch() / "log").string();
    ASSERT_EQ(mount_as_nobody(source, place, "noexec", log), 0) << read_file(log);
    const std::string mounted = table();
    EXPECT_TRUE(has(mounted, place.string() + " ")) << mounted;
    for (const char *option : {"nosuid", "nodev", "noexec", "user_id=65534", "group_id=65534"})
        EXPECT_TRUE(has(mounted, option)) << mounted;
    EXPECT_EQ(as_nobody("sh -c 'echo hello >" + (place / "file").string() + "'"), 0);
    EXPECT_EQ(as_nobody("mount.fusewb -u " + place.string() + " >" + log + " 2>&1"), 0)
        << read_file(log);
    EXPECT_EQ(table(), "");
    EXPECT_EQ(read_file(source / "file"), "hello\n");
}

GUEST_TEST(UserMount, UmountTakesItAwayForItsOwnerAlone) {
    needs_daemon();
    const Permission permission;
    const std::filesystem::path place = own_directory("place");
    const std::filesystem::path source = own_directory("source");
    const std::string log = (scratch() / "log").string();
    const auto mount = [&] {
        EXPECT_EQ(mount_as_nobody(source, place, "writeback", log), 0) << read_file(log);
        EXPECT_TRUE(noted(place));
    };
    const std::string umount = "umount " + place.string() + " >" + log + " 2>&1";
    mount();
    EXPECT_EQ(as_nobody("sh -c 'echo hello >" + (place / "file").string() + "'"), 0);
    EXPECT_NE(as_user(1, umount), 0);
    // Past the path, which another user cannot even look at.
    EXPECT_NE(as_user(1, "umount.fusewb-user " + place.string() + " >" + log + " 2>&1"), 0);
    EXPECT_TRUE(has(read_file(log), "another user") || has(read_file(log), "not allowed"))
        << read_file(log);
    EXPECT_TRUE(has(table(), place.string() + " "));
    EXPECT_EQ(as_nobody(umount), 0) << read_file(log);
    EXPECT_EQ(table(), "");
    EXPECT_FALSE(noted(place));
    EXPECT_EQ(read_file(source / "file"), "hello\n");

    mount();
    EXPECT_EQ(as_nobody("umount -l " + place.string() + " >" + log + " 2>&1"), 0) << read_file(log);
    EXPECT_EQ(table(), "");
    // The note goes whoever is asked, and however.
    mount();
    EXPECT_EQ(as_nobody("mount.fusewb -u " + place.string()), 0);
    EXPECT_FALSE(noted(place));
    mount();
    EXPECT_EQ(std::system(umount.c_str()), 0) << read_file(log);
    EXPECT_FALSE(noted(place));
    EXPECT_EQ(table(), "");
}

GUEST_TEST(UserMount, TakesPolkitsYes) {
    needs_daemon();
    const std::filesystem::path place = own_directory("place");
    as_nobody(220s, [&] {
        const Fd device = open_device("fusewb");
        const std::string said = mount_at(open_bus(), device, place_at(place), own_namespace());
        EXPECT_TRUE(has(said, "AccessDenied") || has(said, "InteractiveAuthorizationRequired"))
            << said;
    });
    EXPECT_EQ(table(), "");
}

GUEST_TEST(UserMount, OthersPlacesAndForgedOptionsAreRefused) {
    needs_daemon();
    const Permission permission;
    const std::filesystem::path own = own_directory("own");
    const std::filesystem::path others = own_directory("others");
    check(chown(others.c_str(), 1, 1), "chown");
    std::filesystem::permissions(others, std::filesystem::perms(0777));
    const std::filesystem::path locked = own_directory("locked");
    std::filesystem::permissions(locked, std::filesystem::perms(0555));
    as_nobody(220s, [&] {
        const Bus bus = open_bus();
        const Fd device = open_device("fusewb");
        const Fd home = own_namespace();
        for (const std::filesystem::path &place :
             {others, locked, std::filesystem::path("/etc"), std::filesystem::path("/"),
              std::filesystem::path("/proc/self"), std::filesystem::path("/proc/self/comm")})
            EXPECT_NE(mount_at(bus, device, place_at(place), home), "") << place;
        for (const char *options : {"user_id=0", "ro,group_id=0", "suid", "dev", "allow_other",
                                    "fd=0", "rootmode=100000"})
            EXPECT_NE(mount_at(bus, device, place_at(own), home, options), "") << options;
        EXPECT_NE(mount_at(bus, device, place_at(own), home, "", "a/b"), "");
        // Neither the device nor the namespace may be what they are not.
        EXPECT_NE(mount_at(bus, Fd("/dev/null", O_RDWR), place_at(own), home), "");
        EXPECT_NE(mount_at(bus, device, place_at(own), place_at(own)), "");
        EXPECT_NE(mount_at(bus, device, place_at(own), Fd("/proc/self/ns/net", O_RDONLY)), "");
        // After all that it still works where it may.
        EXPECT_EQ(mount_at(bus, device, place_at(own), home), "");
        EXPECT_EQ(unmount_at(bus, place_at(own), home), "");
    });
    EXPECT_EQ(table(), "");
}

GUEST_TEST(UserMount, LinkThatIsSwappedLeadsNowhereElse) {
    needs_daemon();
    const Permission permission;
    const std::filesystem::path own = own_directory("own");
    const std::filesystem::path target = own / "target";
    std::filesystem::create_directory(target);
    check(chown(target.c_str(), nobody, nobody), "chown");
    Task swaps("swaps the link", [&]() -> int {
        become_nobody();
        for (;;)
            for (const std::filesystem::path &to :
                 {target, std::filesystem::path("/etc"), std::filesystem::path("/root")}) {
                const std::filesystem::path fresh = own / "fresh";
                std::filesystem::remove(fresh);
                std::filesystem::create_symlink(to, fresh);
                std::filesystem::rename(fresh, own / "link");
            }
    });
    ASSERT_TRUE(wait_until(10s, [&] { return std::filesystem::is_symlink(own / "link"); }));
    as_nobody(220s, [&] {
        const Bus bus = open_bus();
        const Fd home = own_namespace();
        int mounted = 0;
        int refused = 0;
        for (int i = 0; i < 400 && (mounted < 3 || refused < 3); ++i) {
            const Fd device = open_device("fusewb");
            const int place = open((own / "link").c_str(), O_PATH | O_CLOEXEC);
            if (place < 0)
                continue;
            const Fd held(place);
            if (mount_at(bus, device, held, home) != "") {
                ++refused;
                continue;
            }
            ++mounted;
            EXPECT_TRUE(has(table(), " " + target.string() + " ")) << table();
            EXPECT_EQ(unmount_at(bus, place_at(target), home), "");
            EXPECT_EQ(table(), "");
        }
        EXPECT_GE(mounted, 3);
        EXPECT_GE(refused, 3);
    });
    EXPECT_TRUE(swaps.kill_within(10s));
    EXPECT_EQ(table(), "");
}

GUEST_TEST(UserMount, UserNamespaceGetsNoHelp) {
    needs_daemon();
    const Permission permission;
    const std::filesystem::path own = own_directory("own");
    as_nobody(220s, [&] {
        const Bus bus = open_bus();
        const Fd before = open_device("fusewb");
        const Fd outside = own_namespace();
        const Fd place = place_at(own);
        check(unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare");
        const Fd within = open_device("fusewb");
        EXPECT_TRUE(has(mount_at(bus, before, place_at(own), own_namespace()), "user namespace"));
        // A device that was opened within is for mounts within.
        EXPECT_NE(mount_at(bus, within, place, outside), "");
        // What leads into one namespace is not mounted on in another.
        EXPECT_NE(mount_at(bus, before, place_at(own), outside), "");
    });
    EXPECT_EQ(table(), "");
}

GUEST_TEST(UserMount, IsInTheMountNamespaceOfTheUser) {
    needs_daemon();
    const Permission permission;
    const std::filesystem::path own = own_directory("own");
    Task task("in a namespace of its own", [&] {
        check(unshare(CLONE_NEWNS), "unshare");
        check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make private");
        become_nobody();
        const Bus bus = open_bus();
        const Fd device = open_device("fusewb");
        EXPECT_EQ(mount_at(bus, device, place_at(own), own_namespace()), "");
        EXPECT_TRUE(has(table(), own.string()));
        EXPECT_FALSE(has(read_file("/proc/1/mountinfo"), own.string()));
        EXPECT_EQ(unmount_at(bus, place_at(own), own_namespace()), "");
        EXPECT_EQ(table(), "");
        return testing::Test::HasFailure() ? 1 : 0;
    });
    ASSERT_TRUE(task.ends_within(60s)) << task.where();
    EXPECT_EQ(task.status(), 0);
}

GUEST_TEST(UserMount, OthersMountsAreNotTakenAway) {
    needs_daemon();
    const Permission permission;
    const Passthrough server;
    const std::filesystem::path own = own_directory("own");
    as_nobody(220s, [&] {
        const Bus bus = open_bus();
        const Fd home = own_namespace();
        EXPECT_TRUE(has(unmount_at(bus, place_at("/dev/shm"), home), "no fusewb"));
        EXPECT_TRUE(has(unmount_at(bus, place_at(server.mnt()), home), "another user"));
        EXPECT_NE(unmount_at(bus, place_at(own), home), "");
    });
    write_file(server.mnt("file"), "still there");
}

// The daemon with another bound than its own, for the length of a test: with systemd to start a
// mounter for each mount, a hundred of them take an emulated machine minutes.
class Bound {
public:
    explicit Bound(int mounts) {
        std::filesystem::create_directories(path_.parent_path());
        std::ofstream(path_) << "[Service]\nExecStart=\nExecStart=/usr/libexec/fusewbd "
                                "--mounts-per-user="
                             << mounts << "\n";
        restart();
    }
    ~Bound() {
        std::filesystem::remove(path_);
        restart();
    }
    Bound(const Bound &) = delete;
    Bound &operator=(const Bound &) = delete;

private:
    static void restart() {
        EXPECT_EQ(std::system("systemctl daemon-reload && systemctl restart fusewbd"), 0);
    }
    const std::filesystem::path path_ = "/run/systemd/system/fusewbd.service.d/guest-test.conf";
};

GUEST_TEST_WITHIN(UserMount, ThousandMountsAreNoMoreThanTheBound, 900s) {
    needs_daemon();
    constexpr int bound = 10;
    const Permission permission;
    const Bound daemon(bound);
    const std::filesystem::path own = own_directory("own");
    as_nobody(880s, [&] {
        const Bus bus = open_bus();
        const Fd home = own_namespace();
        std::vector<Fd> devices;
        int mounted = 0;
        for (int i = 0; i < 1000; ++i) {
            const std::filesystem::path place = own / std::to_string(i);
            std::filesystem::create_directory(place);
            Fd device = open_device("fusewb");
            const std::string said = mount_at(bus, device, place_at(place), home);
            if (said == "") {
                ++mounted;
                devices.push_back(std::move(device));
            } else {
                EXPECT_TRUE(has(said, "TooMany")) << said;
            }
        }
        EXPECT_EQ(mounted, bound);
        // What is taken away makes room again.
        EXPECT_EQ(unmount_at(bus, place_at(own / "0"), home), "");
        EXPECT_TRUE(wait_until(20s, [&] {
            const Fd device = open_device("fusewb");
            return mount_at(bus, device, place_at(own / "0"), home) == "";
        }));
    });
    for (const std::filesystem::path &point : mounts_below(own))
        EXPECT_EQ(umount2(point.c_str(), MNT_DETACH), 0) << point;
}

} // namespace
