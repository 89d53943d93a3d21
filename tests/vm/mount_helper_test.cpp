// SPDX-License-Identifier: GPL-2.0-only
// mount.fusewb beside the live module: what mounts, and what is refused in one line, with the exit
// code of mount(8), nothing left mounted and no process left.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

struct Outcome {
    int code = -1;
    std::string output; // stdout and stderr

    // The lines that mount.fusewb itself wrote; the server's own may come before them.
    Words lines() const {
        Words found;
        std::istringstream text(output);
        for (std::string line; std::getline(text, line);)
            if (line.starts_with("mount.fusewb: "))
                found.push_back(line);
        return found;
    }
};

// Runs a command to its end. Its output goes to a file: a server left behind would hold a pipe.
Outcome run(const Words &words, const std::string &user = "") {
    std::string name = "/tmp/fusewb-output-XXXXXX";
    const int output = mkostemp(name.data(), O_CLOEXEC);
    EXPECT_GE(output, 0);
    const pid_t pid = fork();
    if (pid == 0) {
        const passwd *account = user.empty() ? nullptr : getpwnam(user.c_str());
        if (account &&
            (setgroups(0, nullptr) || setgid(account->pw_gid) || setuid(account->pw_uid)))
            _exit(126);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        std::vector<char *> argv;
        for (const std::string &word : words)
            argv.push_back(const_cast<char *>(word.c_str()));
        argv.push_back(nullptr);
        execvp(argv[0], argv.data());
        _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    Outcome outcome;
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    std::ifstream file(name);
    outcome.output.assign(std::istreambuf_iterator<char>(file), {});
    close(output);
    unlink(name.c_str());
    return outcome;
}

Words find_processes(const std::string &word) {
    Words found;
    for (const fs::directory_entry &entry : fs::directory_iterator("/proc")) {
        std::ifstream file(entry.path() / "cmdline");
        std::string line((std::istreambuf_iterator<char>(file)), {});
        std::replace(line.begin(), line.end(), '\0', ' ');
        const std::string pid = entry.path().filename();
        if (std::all_of(pid.begin(), pid.end(), isdigit) && line.find(word) != std::string::npos)
            found.push_back(pid + ": " + line);
    }
    return found;
}

bool eventually(const std::function<bool()> &holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!holds()) {
        if (std::chrono::steady_clock::now() > end)
            return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return true;
}

// libfuse's example server: $PASSTHROUGH_LL, or in PATH.
std::string find_passthrough() {
    if (const char *path = std::getenv("PASSTHROUGH_LL"))
        return path;
    std::istringstream directories(std::getenv("PATH") ? std::getenv("PATH") : "");
    for (std::string directory; std::getline(directories, directory, ':');)
        if (access((directory + "/passthrough_ll").c_str(), X_OK) == 0)
            return directory + "/passthrough_ll";
    return "";
}

class MountHelperTest : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_EQ(geteuid(), 0u);
        std::string name = "/tmp/fusewb-helper-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        base_ = name;
        server_ = (base_ / "server").string();
        passthrough_ = find_passthrough();
        if (passthrough_.empty())
            GTEST_SKIP() << "passthrough_ll is neither in PATH nor named by PASSTHROUGH_LL";
        fs::create_directory(base_ / "back");
        fs::create_directory(base_ / "mnt");
        fs::permissions(base_, fs::perms(0755));
    }

    void TearDown() override {
        while (umount2(mnt().c_str(), MNT_DETACH) == 0)
            ;
        for (const std::string &each : find_processes(base_.string()))
            kill(std::stoi(each), SIGKILL);
        std::error_code ignored;
        fs::remove_all(base_, ignored);
    }

    std::string mnt() const { return (base_ / "mnt").string(); }
    std::string back() const { return (base_ / "back").string(); }
    std::string passthrough_spec() const { return passthrough_ + "#"; }
    std::string source_option() const { return "source=" + back(); }

    // A server that is a shell script: $1 is /dev/fd/N.
    std::string script(const std::string &text) const {
        std::ofstream(server_) << "#!/bin/sh\n" << text << '\n';
        fs::permissions(server_, fs::perms(0755));
        return server_ + '#';
    }

    // "TYPE SOURCE" of each mount on `mnt`, in the order they were made.
    Words mounts() const {
        Words found;
        std::ifstream table("/proc/self/mountinfo");
        for (std::string line; std::getline(table, line);) {
            std::istringstream fields(line);
            const Words words((std::istream_iterator<std::string>(fields)), {});
            const auto dash = std::find(words.begin(), words.end(), "-");
            if (words.at(4) != mnt())
                continue;
            std::string source = *(dash + 2);
            // The kernel escapes what would begin a comment in fstab.
            for (std::size_t at = 0; (at = source.find("\\043")) != std::string::npos;)
                source.replace(at, 4, "#");
            found.push_back(*(dash + 1) + ' ' + source);
        }
        return found;
    }

    void expect_nothing_left() const {
        EXPECT_EQ(mounts(), Words{});
        EXPECT_TRUE(eventually([&] { return find_processes(base_.string()).empty(); }))
            << find_processes(base_.string()).at(0);
    }

    // One line with `cause` and `remedy` in it.
    static void expect_refused(const Outcome &outcome, int code, const std::string &cause,
                               const std::string &remedy) {
        EXPECT_EQ(outcome.code, code) << outcome.output;
        ASSERT_EQ(outcome.lines().size(), 1u) << outcome.output;
        EXPECT_NE(outcome.lines()[0].find(cause), std::string::npos) << outcome.output;
        EXPECT_NE(outcome.lines()[0].find("; "), std::string::npos) << outcome.output;
        EXPECT_NE(outcome.lines()[0].find(remedy), std::string::npos) << outcome.output;
    }

    Outcome mount_passthrough(const std::string &more = "") const {
        return run({"mount", "-t", "fusewb", passthrough_spec(), mnt(), "-o",
                    source_option() + (more.empty() ? "" : "," + more)});
    }

    void expect_unmounts() const {
        const Outcome outcome = run({"umount", mnt()});
        EXPECT_EQ(outcome.code, 0) << outcome.output;
        expect_nothing_left();
    }

    fs::path base_; // part of every server's command line, by which its processes are found
    std::string server_;
    std::string passthrough_;
};

void write_file(const fs::path &path, const std::string &text) { std::ofstream(path) << text; }

std::string read_file(const fs::path &path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(MountHelperTest, MountsWithServerAndEmptySource) {
    const Outcome outcome = mount_passthrough("writeback");
    ASSERT_EQ(outcome.code, 0) << outcome.output;
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(mounts(), Words{"fusewb." + fs::path(passthrough_).filename().string() + ' ' +
                              passthrough_spec()});
    write_file(base_ / "mnt" / "file", "hello");
    expect_unmounts();
    EXPECT_EQ(read_file(base_ / "back" / "file"), "hello");
}

TEST_F(MountHelperTest, MountsWithTheServerInTheType) {
    write_file(base_ / "back" / "file", "hello");
    // mount(8) clears PATH, so the name is looked up in the standard directories.
    const fs::path link = "/usr/local/bin/fusewb-test-server";
    std::error_code ignored;
    fs::remove(link, ignored);
    fs::create_symlink(passthrough_, link);
    const Outcome outcome =
        run({"mount", "-t", "fusewb.fusewb-test-server", "none", mnt(), "-o", source_option()});
    fs::remove(link);
    ASSERT_EQ(outcome.code, 0) << outcome.output;
    EXPECT_EQ(mounts(), Words{"fusewb.fusewb-test-server none"});
    EXPECT_EQ(read_file(base_ / "mnt" / "file"), "hello");
    expect_unmounts();
}

// As systemd makes the mounts, and some systems do not have them.
class SharedMounts {
public:
    SharedMounts()
        : shared_(run({"findmnt", "-no", "PROPAGATION", "/"}).output.find("shared") !=
                  std::string::npos) {
        if (!shared_)
            EXPECT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr), 0);
    }
    ~SharedMounts() {
        if (!shared_)
            EXPECT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    }
    SharedMounts(const SharedMounts &) = delete;
    SharedMounts &operator=(const SharedMounts &) = delete;

private:
    bool shared_;
};

TEST_F(MountHelperTest, AServerThatWantsADirectoryGetsOne) {
    const char *path = std::getenv("ON_DIRECTORY");
    const std::string on_directory = base_ / "on-directory";
    fs::copy(path ? path : "/usr/lib/fusewb/on-directory", on_directory);
    const SharedMounts shared;
    const fs::file_type before = fs::symlink_status("/dev/fd").type();
    write_file(base_ / "back" / "file", "hello");
    script("test -d $1 && test -c /dev/null || exit 1; exec " + passthrough_ + " \"$@\"");
    const std::string spec = on_directory + "#" + server_;
    const Outcome outcome = run({"mount", "-t", "fusewb", spec, mnt(), "-o", source_option()});
    ASSERT_EQ(outcome.code, 0) << outcome.output;
    EXPECT_EQ(read_file(base_ / "mnt" / "file"), "hello");
    EXPECT_EQ(fs::symlink_status("/dev/fd").type(), before) << "its /dev is not its own";
    expect_unmounts();

    const Outcome refused = run({on_directory, server_, mnt()});
    EXPECT_EQ(refused.code, 2) << refused.output;
    EXPECT_NE(refused.output.find("no /dev/fd/N"), std::string::npos) << refused.output;
    const Outcome unprivileged = run({on_directory, server_, "/dev/fd/3"}, "nobody");
    EXPECT_EQ(unprivileged.code, 1) << unprivileged.output;
    EXPECT_NE(unprivileged.output.find("only root"), std::string::npos) << unprivileged.output;
}

// As go-fuse does before it looks whether its mount point is a descriptor.
TEST_F(MountHelperTest, AServerThatMountsByItselfCannotCoverTheDevice) {
    const std::string said = base_ / "said";
    write_file(base_ / "back" / "file", "hello");
    const std::string spec = script("mount --no-canonicalize --bind /etc/passwd $1 2>" + said +
                                    " && exit 1; exec " + passthrough_ + " \"$@\"");
    const Outcome outcome = run({"mount", "-t", "fusewb", spec, mnt(), "-o", source_option()});
    const bool covered = umount2("/dev/fusewb", MNT_DETACH) == 0;
    EXPECT_FALSE(covered);
    ASSERT_EQ(outcome.code, 0) << outcome.output;
    EXPECT_NE(read_file(said), "");
    EXPECT_EQ(read_file(base_ / "mnt" / "file"), "hello");
    expect_unmounts();
}

// An empty one, for below it may be another. This server opens no file of its own without it.
TEST_F(MountHelperTest, MountsWithoutProc) {
    write_file(base_ / "back" / "file", "hello");
    const std::string line = "mount -t tmpfs none /proc && /sbin/mount.fusewb \"$@\" && "
                             "stat -c %s " +
                             mnt() + "/file";
    const Outcome outcome = run({"unshare", "--mount", "sh", "-c", line, "sh", passthrough_spec(),
                                 mnt(), "-o", source_option()});
    EXPECT_EQ(outcome.code, 0) << outcome.output;
    EXPECT_EQ(outcome.output, "5\n");
}

TEST_F(MountHelperTest, MountsAnFstabLineOnceAndLeavesItsWordsToFstab) {
    const std::string fstab = (base_ / "fstab").string();
    write_file(fstab, passthrough_spec() + ' ' + mnt() + " fusewb " + source_option() +
                          ",defaults,nofail,_netdev,x-systemd.automount 0 0\n");
    ASSERT_EQ(run({"mount", "-a", "-T", fstab}).code, 0);
    EXPECT_EQ(mounts().size(), 1u);
    EXPECT_EQ(run({"mount", "-a", "-T", fstab}).code, 0);
    EXPECT_EQ(mounts().size(), 1u);
    expect_unmounts();
}

TEST_F(MountHelperTest, MountsThroughASystemdUnitWhoseServerStaysAlive) {
    if (access("/run/systemd/system", F_OK) != 0)
        GTEST_SKIP() << "systemd does not run here";
    fs::create_directories("/run/fusewb-unit");
    const std::string unit = "/run/systemd/system/run-fusewb\\x2dunit.mount";
    write_file(unit, "[Mount]\nWhat=" + passthrough_spec() +
                         "\nWhere=/run/fusewb-unit\nType=fusewb\nOptions=" + source_option() +
                         "\n");
    write_file(base_ / "back" / "file", "hello");
    run({"systemctl", "daemon-reload"});
    const Outcome started = run({"systemctl", "start", "run-fusewb\\x2dunit.mount"});
    EXPECT_EQ(started.code, 0) << started.output
                               << run({"journalctl", "-n30", "--no-pager"}).output;
    EXPECT_EQ(read_file("/run/fusewb-unit/file"), "hello");
    EXPECT_EQ(run({"systemctl", "stop", "run-fusewb\\x2dunit.mount"}).code, 0);
    unlink(unit.c_str());
    run({"systemctl", "daemon-reload"});
    fs::remove("/run/fusewb-unit");
    expect_nothing_left();
}

TEST_F(MountHelperTest, AppliesTheFlagsOfTheVfs) {
    ASSERT_EQ(mount_passthrough("ro,nosuid,noexec").code, 0);
    EXPECT_EQ(open((mnt() + "/new").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600), -1);
    EXPECT_EQ(errno, EROFS);
    ASSERT_EQ(run({"mount", "-o", "remount,rw", mnt()}).code, 0);
    write_file(base_ / "mnt" / "new", "x");
    EXPECT_TRUE(fs::exists(base_ / "back" / "new"));
    expect_unmounts();
}

TEST_F(MountHelperTest, RunsTheServerAsAnotherUserWithoutSetuidAndDevices) {
    fs::permissions(base_ / "back", fs::perms(0777));
    ASSERT_EQ(mount_passthrough("setuid=nobody").code, 0);
    const Words servers = find_processes(base_.string());
    ASSERT_EQ(servers.size(), 1u);
    struct stat process {};
    ASSERT_EQ(stat(("/proc/" + std::to_string(std::stoi(servers[0]))).c_str(), &process), 0);
    EXPECT_EQ(process.st_uid, getpwnam("nobody")->pw_uid);
    const std::string options = run({"findmnt", "-no", "OPTIONS", mnt()}).output;
    EXPECT_NE(options.find("nosuid"), std::string::npos) << options;
    EXPECT_NE(options.find("nodev"), std::string::npos) << options;
    expect_unmounts();
}

TEST_F(MountHelperTest, RefusesAServerThatIsNotInstalled) {
    const Outcome outcome = run({"mount", "-t", "fusewb", "no-such-server#x", mnt()});
    expect_refused(outcome, 32, "no-such-server is not installed", "install it");
    expect_nothing_left();
}

TEST_F(MountHelperTest, RefusesAServerThatCannotBeExecuted) {
    write_file(server_, "#!/no/such/interpreter\n");
    fs::permissions(server_, fs::perms(0755));
    const Outcome outcome = run({"mount", "-t", "fusewb", server_ + "#", mnt()});
    expect_refused(outcome, 32, "cannot be run", "check");
    expect_nothing_left();
}

TEST_F(MountHelperTest, PassesOnWhatAFailingServerSays) {
    const std::string spec = script("echo 'the disk is on fire' >&2; exit 7");
    const Outcome outcome = run({"mount", "-t", "fusewb", spec, mnt()});
    expect_refused(outcome, 32, "failed with exit status 7", "see its own message");
    EXPECT_NE(outcome.output.find("the disk is on fire\n"), std::string::npos);
    expect_nothing_left();
}

TEST_F(MountHelperTest, RefusesAServerWhoseSourceIsMissing) {
    const Outcome outcome = run({"mount", "-t", "fusewb", passthrough_spec(), mnt(), "-o",
                                 "source=" + (base_ / "missing").string()});
    expect_refused(outcome, 32, "failed with exit status 1", "source and options");
    EXPECT_NE(outcome.output.find("failed to stat source"), std::string::npos) << outcome.output;
    expect_nothing_left();
}

TEST_F(MountHelperTest, RefusesASourceArgumentThatTheServerDoesNotTake) {
    const Outcome outcome = run({"mount", "-t", "fusewb", passthrough_spec() + back(), mnt()});
    expect_refused(outcome, 32, "failed with exit status 1", "source and options");
    expect_nothing_left();
}

TEST_F(MountHelperTest, RefusesAServerThatEndsWithoutServing) {
    const Outcome outcome = run({"mount", "-t", "fusewb", script("exit 0"), mnt()});
    expect_refused(outcome, 32, "ended before its file system answered", "by hand");
    expect_nothing_left();
}

TEST_F(MountHelperTest, RefusesAnOptionThatTheServerDoesNotKnow) {
    const Outcome outcome = mount_passthrough("bogus=1");
    expect_refused(outcome, 32, "failed with exit status 1", "options");
    EXPECT_NE(outcome.output.find("bogus"), std::string::npos) << outcome.output;
    expect_nothing_left();
}

TEST_F(MountHelperTest, RefusesAnUnknownWritebackMode) {
    expect_refused(mount_passthrough("writeback=fast"), 1, "writeback=fast", "writeback=auto");
    expect_nothing_left();
}

TEST_F(MountHelperTest, RefusesAMissingMountPoint) {
    const std::string missing = (base_ / "missing").string();
    const Outcome outcome =
        run({"mount", "-t", "fusewb", passthrough_spec(), missing, "-o", source_option()});
    expect_refused(outcome, 32, "mount point " + missing + " does not exist", "mkdir -p");
    expect_nothing_left();
}

TEST_F(MountHelperTest, RefusesAMountPointOfTheWrongKind) {
    const std::string pipe = (base_ / "pipe").string();
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    const Outcome outcome =
        run({"mount", "-t", "fusewb", passthrough_spec(), pipe, "-o", source_option()});
    expect_refused(outcome, 32, "neither a directory nor a file", "choose a directory");
    expect_nothing_left();
}

TEST_F(MountHelperTest, RefusesTheSameFileSystemOnTheSameDirectoryTwice) {
    ASSERT_EQ(mount_passthrough().code, 0);
    expect_refused(mount_passthrough(), 32, "already mounted on " + mnt(), "umount " + mnt());
    EXPECT_EQ(mounts().size(), 1u);
    expect_unmounts();
}

TEST_F(MountHelperTest, RefusesADirectoryThatHoldsADeadMount) {
    ASSERT_EQ(mount_passthrough().code, 0);
    for (const std::string &each : find_processes(base_.string()))
        kill(std::stoi(each), SIGKILL);
    ASSERT_TRUE(eventually([&] { return find_processes(base_.string()).empty(); }));
    // The attributes of the root that the server gave out are good for a second.
    struct stat status;
    ASSERT_TRUE(eventually([&] { return stat(mnt().c_str(), &status) < 0; }));
    expect_refused(mount_passthrough(), 32, "server is gone", "umount " + mnt());
    expect_unmounts();
}

// Where the daemon runs, a user without an active session is refused by polkit.
TEST_F(MountHelperTest, RefusesUsersWhomNobodyAllowsIt) {
    const Outcome outcome =
        run({"mount.fusewb", passthrough_spec(), mnt(), "-o", source_option()}, "nobody");
    if (fs::exists("/run/dbus/system_bus_socket"))
        expect_refused(outcome, 1, "not allowed", "as root");
    else
        expect_refused(outcome, 2, "bus cannot be reached", "as root");
    expect_nothing_left();
}

TEST_F(MountHelperTest, RefusesUsersWhatOnlyRootMayChoose) {
    for (const std::string option : {"setuid=root", "remount"}) {
        const Outcome outcome =
            run({"mount.fusewb", passthrough_spec(), mnt(), "-o", option}, "nobody");
        expect_refused(outcome, 1, "only root may", "as root");
    }
    const Outcome outcome =
        run({"mount.fusewb", passthrough_spec(), mnt(), "-N", "/proc/1/ns/mnt"}, "nobody");
    expect_refused(outcome, 1, "only root may", "as root");
    expect_nothing_left();
}

TEST_F(MountHelperTest, EndsServerAndMountWhenItIsInterrupted) {
    const std::string spec = script("echo started > " + (base_ / "started").string() +
                                    "; exec tail -f /dev/null " + base_.string());
    std::thread interrupter([&] {
        eventually([&] { return fs::exists(base_ / "started") && !mounts().empty(); });
        for (const std::string &each : find_processes("mount.fusewb " + server_))
            kill(std::stoi(each), SIGTERM);
    });
    const Outcome outcome = run({"mount.fusewb", spec, mnt()});
    interrupter.join();
    EXPECT_EQ(outcome.code, 8) << outcome.output;
    expect_nothing_left();
}

// The module's absence: it is unloaded and hidden from modprobe for the length of the test.
class MissingModuleTest : public MountHelperTest {
protected:
    void SetUp() override {
        MountHelperTest::SetUp();
        if (IsSkipped() || HasFatalFailure())
            return;
        run({"systemctl", "stop", "fusewbd.service"});
        const Outcome unloaded = run({"modprobe", "-r", "fusewb"});
        ASSERT_EQ(unloaded.code, 0) << unloaded.output;
        release_ = run({"uname", "-r"}).output;
        release_.pop_back();
        for (const fs::directory_entry &entry :
             fs::recursive_directory_iterator("/lib/modules/" + release_ + "/updates"))
            if (entry.path().filename().string().starts_with("fusewb.ko"))
                file_ = entry.path();
        ASSERT_FALSE(file_.empty());
        ASSERT_EQ(run({"mv", file_.string(), (base_ / "hidden").string()}).code, 0);
    }

    void TearDown() override {
        if (!file_.empty())
            run({"mv", (base_ / "hidden").string(), file_.string()});
        EXPECT_EQ(run({"depmod"}).code, 0);
        EXPECT_EQ(run({"modprobe", "fusewb"}).code, 0);
        run({"systemctl", "start", "fusewbd.service"});
        MountHelperTest::TearDown();
    }

    std::string release_;
    fs::path file_;
};

TEST_F(MissingModuleTest, IsNamedWithTheCommandThatMendsIt) {
    ASSERT_EQ(run({"depmod"}).code, 0);
    const std::string remedy = fs::exists("/var/lib/dkms/fusewb")
                                   ? "run: dkms install fusewb -k " + release_
                                   : "run: apt install fusewb-dkms";
    expect_refused(mount_passthrough(), 32, "there is no module fusewb for kernel " + release_,
                   remedy);
    expect_nothing_left();
}

TEST_F(MissingModuleTest, IsNamedAlsoWhenTheModuleIsNoModule) {
    write_file(file_, "this is no module");
    ASSERT_EQ(run({"depmod"}).code, 0);
    const Outcome outcome = mount_passthrough();
    EXPECT_EQ(outcome.code, 32) << outcome.output;
    EXPECT_EQ(outcome.lines().size(), 1u) << outcome.output;
    expect_nothing_left();
}

TEST_F(MissingModuleTest, IsMendedByLoadingTheModuleWhereItIsThere) {
    ASSERT_EQ(run({"mv", (base_ / "hidden").string(), file_.string()}).code, 0);
    ASSERT_EQ(run({"depmod"}).code, 0);
    const Outcome outcome = mount_passthrough();
    EXPECT_EQ(outcome.code, 0) << outcome.output;
    expect_unmounts();
}

} // namespace
