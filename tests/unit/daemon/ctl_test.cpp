// SPDX-License-Identifier: GPL-2.0-only
// fusewbctl as it is run, on the daemon of the test.
#include "bus_case.h"

#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <pty.h>
#include <regex>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fusewb {
namespace {

using namespace test;
using model::KernelFacts;
using policy::Setting;
using testing::AllOf;
using testing::HasSubstr;

struct Ran {
    int status;
    std::string out;
    std::string error;
};

class CtlTest : public BusTest {
protected:
    CtlTest() {
        for (const policy::Description &description : policy::settings())
            kernel.defaults.others.set(description.setting, 0);
    }

    KernelFacts governed(model::ConnectionId id) {
        KernelFacts facts = own(id);
        facts.policy = kernel.defaults.others;
        return facts;
    }

    // Runs it beside the loop, which answers it; as another user, if there is one.
    Ran run(std::vector<std::string> words, uid_t user = geteuid()) {
        words.insert(words.begin(), FUSEWBCTL);
        int out[2];
        int error[2];
        EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
        EXPECT_EQ(pipe2(error, O_CLOEXEC), 0);
        // The other user may not be able to look where it lies.
        const int program = open(FUSEWBCTL, O_PATH | O_CLOEXEC);
        const pid_t child = fork();
        if (child == 0) {
            dup2(out[1], STDOUT_FILENO);
            dup2(error[1], STDERR_FILENO);
            if (user != geteuid() && setuid(user) < 0)
                _exit(125);
            std::vector<char *> argv;
            for (std::string &word : words)
                argv.push_back(word.data());
            argv.push_back(nullptr);
            fexecve(program, argv.data(), environ);
            _exit(126);
        }
        close(program);
        close(out[1]);
        close(error[1]);
        Ran ran{-1, {}, {}};
        bool outOpen = true;
        bool errorOpen = true;
        while (outOpen || errorOpen) {
            outOpen = outOpen && take(out[0], ran.out);
            errorOpen = errorOpen && take(error[0], ran.error);
            EXPECT_GE(sd_event_run(loop.get(), 5'000), 0);
        }
        close(out[0]);
        close(error[0]);
        int status = 0;
        waitpid(child, &status, 0);
        ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        return ran;
    }

    // False when the other end is closed.
    static bool take(int fd, std::string &text) {
        char buffer[4096];
        pollfd wait{fd, POLLIN, 0};
        if (poll(&wait, 1, 0) == 0)
            return true;
        const ssize_t got = read(fd, buffer, sizeof buffer);
        if (got > 0)
            text.append(buffer, static_cast<std::size_t>(got));
        return got > 0;
    }
};

TEST_F(CtlTest, ListsConnections) {
    startWith({governed(3)});
    const Ran ran = run({"list"});
    EXPECT_EQ(ran.status, 0) << ran.error;
    EXPECT_THAT(ran.out, AllOf(HasSubstr("MOUNTED AT"), HasSubstr("@3"), HasSubstr("/proc"),
                               HasSubstr("ready")));
    EXPECT_EQ(ran.out.find('\033'), std::string::npos);
}

TEST_F(CtlTest, JsonHasTheNamesOfTheBus) {
    startWith({governed(3)});
    const Ran ran = run({"list", "--json"});
    EXPECT_EQ(ran.status, 0) << ran.error;
    EXPECT_THAT(ran.out, AllOf(HasSubstr("\"Connection\": 3"), HasSubstr("\"Subtype\": \"sshfs\""),
                               HasSubstr("\"BytesDirect\": 5000000000")));
}

TEST_F(CtlTest, StatusTakesPathPidOrNumber) {
    startWith({governed(3)});
    for (const std::string &which : {std::string("/proc/"), std::to_string(getpid()),
                                     std::string("@3"), std::string("/proc/self/..")}) {
        const Ran ran = run({"status", which});
        EXPECT_EQ(ran.status, 0) << which << ": " << ran.error;
        EXPECT_THAT(ran.out, AllOf(HasSubstr("Connection: @3"), HasSubstr("WritebackDeadlineSec")));
    }
    EXPECT_THAT(run({"status"}).out, HasSubstr("Connections: 1"));
}

TEST_F(CtlTest, StatusAndJsonHaveTheCounters) {
    KernelFacts facts = governed(3);
    facts.counters = {
        .answers = 7, .migrateAgain = 8, .malformed = 9, .retargets = 10, .retries = 11};
    startWith({facts});
    EXPECT_THAT(run({"status", "@3"}).out,
                AllOf(HasSubstr("11 writes tried again"), HasSubstr("Answers: 7, 9 malformed"),
                      HasSubstr("Migration: 10 folios moved under a write, 8 not moved")));
    EXPECT_THAT(run({"status", "@3", "--json"}).out,
                AllOf(HasSubstr("\"Malformed\": 9"), HasSubstr("\"Retargets\": 10"),
                      HasSubstr("\"Retries\": 11")));
}

TEST_F(CtlTest, WhatIsNotThereHasAStatusOfItsOwn) {
    startWith({governed(3)});
    for (const char *which : {"/nowhere", "1", "@9"}) {
        const Ran ran = run({"status", which});
        EXPECT_EQ(ran.status, 4) << which;
        EXPECT_THAT(ran.error, HasSubstr("fusewbctl: "));
        EXPECT_EQ(ran.out, "");
    }
}

TEST_F(CtlTest, SetsAndResetsValues) {
    startWith({governed(3)});
    Ran ran = run({"set", "/proc", "Writeback=direct", "WritebackDeadlineSec=30"});
    EXPECT_EQ(ran.status, 0) << ran.error;
    EXPECT_EQ(kernel.connections.at(3).policy.get(Setting::Writeback), 1U);
    EXPECT_EQ(kernel.connections.at(3).policy.get(Setting::WritebackDeadline), 30'000'000U);
    ran = run({"set", "/proc", "WritebackDeadlineSec="});
    EXPECT_EQ(ran.status, 0) << ran.error;
    EXPECT_EQ(kernel.connections.at(3).policy.get(Setting::Writeback), 1U);
    EXPECT_EQ(kernel.connections.at(3).policy.get(Setting::WritebackDeadline), 0U);
}

TEST_F(CtlTest, ValueHoldsWhileACommandRuns) {
    startWith({governed(3)});
    const Ran ran =
        run({"set", "@3", "Writeback=direct", "--while", "--", FUSEWBCTL, "status", "@3"});
    EXPECT_EQ(ran.status, 0) << ran.error;
    EXPECT_THAT(ran.out, HasSubstr("hold "));
    for (int turn = 0; turn < 100 && kernel.connections.at(3).policy.get(Setting::Writeback) != 0U;
         ++turn)
        sd_event_run(loop.get(), 50'000);
    EXPECT_EQ(kernel.connections.at(3).policy.get(Setting::Writeback), 0U);
    EXPECT_EQ(run({"set", "@3", "Writeback=direct", "--while", "--", "sh", "-c", "exit 42"}).status,
              42);
}

TEST_F(CtlTest, WrongUseHasAStatusOfItsOwn) {
    startWith({governed(3)});
    for (const std::vector<std::string> &words :
         std::vector<std::vector<std::string>>{{},
                                               {"lost"},
                                               {"list", "--colour"},
                                               {"set", "@3"},
                                               {"set", "@3", "Speed=high"},
                                               {"set", "@3", "Writeback"},
                                               {"set", "@3", "Writeback=direct", "--while"},
                                               {"set", "@3", "Writeback=direct", "--", "true"},
                                               {"list", "--", "true"},
                                               {"status", "@x"},
                                               {"policy"}}) {
        const Ran ran = run(words);
        EXPECT_EQ(ran.status, 2) << testing::PrintToString(words) << ran.error;
    }
    EXPECT_EQ(kernel.changes, 0);
}

TEST_F(CtlTest, RefusalsAreTold) {
    startWith({governed(3)});
    kernel.refuse = EPERM;
    const Ran ran = run({"abort", "@3"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(ran.error, "fusewbctl: the kernel says no\n");
}

TEST_F(CtlTest, AbortsAConnection) {
    startWith({governed(3)});
    EXPECT_EQ(run({"abort", "/proc"}).status, 0);
    EXPECT_EQ(kernel.connections.at(3).state, model::State::Aborted);
}

TEST_F(CtlTest, ExplainsShowsAndReloadsRules) {
    writeRule("40-ntfs.conf", "[Match]\nSubtype=ntfs\n[Policy]\nWriteback=copy\n");
    startWith({governed(3)});
    writeRule("50-sshfs.conf", "[Match]\nSubtype=sshfs\n[Policy]\nWriteback=direct\n");
    EXPECT_EQ(run({"policy", "reload"}).status, 0);
    const Ran shown = run({"policy", "show"});
    EXPECT_THAT(shown.out, HasSubstr("[Match]\nSubtype=sshfs\n[Policy]\nWriteback=direct\n"));
    const Ran explained = run({"policy", "explain", "/proc"});
    EXPECT_THAT(explained.out,
                AllOf(HasSubstr("40-ntfs.conf: Subtype is sshfs, not ntfs"),
                      HasSubstr("decides  50-sshfs.conf"), HasSubstr("rule 50-sshfs.conf")));
    writeRule("60-bad.conf", "nonsense\n");
    const Ran refused = run({"policy", "reload"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.error, HasSubstr("60-bad.conf:1: "));
}

TEST_F(CtlTest, ChecksFilesWithoutADaemon) {
    writeRule("good.conf", "[Policy]\nWriteback=copy\n");
    writeRule("bad.conf", "[Policy]\nWriteback=fast\n");
    const std::string good = directory / "rules/good.conf";
    const std::string bad = directory / "rules/bad.conf";
    EXPECT_EQ(run({"policy", "check", good}).out, "1 rule without an error.\n");
    const Ran ran = run({"policy", "check", good, bad});
    EXPECT_EQ(ran.status, 6);
    EXPECT_EQ(ran.out, bad + ":2: Writeback: \"fast\" is not copy or direct\n");
    EXPECT_THAT(run({"policy", "check", bad, "--json"}).out, HasSubstr("\"line\": 2"));
}

TEST_F(CtlTest, DaemonThatIsNotThereIsSaid) {
    const Ran ran = run({"list"});
    EXPECT_EQ(ran.status, 3);
    EXPECT_THAT(ran.error, HasSubstr("fusewbd is not running"));
}

TEST_F(CtlTest, TopPrintsWhereThereIsNoTerminal) {
    startWith({governed(3)});
    const Ran ran = run({"top", "--rounds", "1", "--interval", "0.1"});
    EXPECT_EQ(ran.status, 0) << ran.error;
    EXPECT_THAT(ran.out, AllOf(HasSubstr("MOUNTED AT"), HasSubstr("/proc")));
    EXPECT_THAT(run({"top", "--rounds", "1", "--interval", "0.1", "--json"}).out,
                HasSubstr("\"mount_point\":\"/proc\""));
}

// A terminal of 80 columns and 24 lines, and the command on it.
class OnTerminal {
public:
    OnTerminal(sd_event *loop, const std::vector<std::string> &words) : loop_(loop) {
        winsize size{24, 80, 0, 0};
        child_ = forkpty(&terminal_, nullptr, nullptr, &size);
        if (child_ == 0) {
            std::vector<std::string> all = words;
            std::vector<char *> argv;
            for (std::string &word : all)
                argv.push_back(word.data());
            argv.push_back(nullptr);
            setenv("TERM", "vt100", 1);
            execv(argv[0], argv.data());
            _exit(126);
        }
    }
    ~OnTerminal() {
        close(terminal_);
        if (child_ > 0) {
            kill(child_, SIGKILL);
            waitpid(child_, nullptr, 0);
        }
    }
    OnTerminal(const OnTerminal &) = delete;
    OnTerminal &operator=(const OnTerminal &) = delete;

    void type(const std::string &keys) {
        EXPECT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
    }

    // The last whole frame, once it has that in it; empty if that does not come.
    std::string frameWith(const std::string &text) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (std::chrono::steady_clock::now() < end && take()) {
            // A frame begins where the cursor goes home, and ends where the rest is cleared.
            const std::size_t close = said_.rfind("\033[J");
            const std::size_t open = said_.rfind("\033[H", close);
            if (close == std::string::npos || open == std::string::npos)
                continue;
            const std::string frame = said_.substr(open + 3, close - open - 3);
            if (frame.find(text) != std::string::npos)
                return frame;
        }
        return "";
    }

    // The status that it ends with; -1 if it does not end by itself.
    int end() {
        while (take())
            ;
        int status = 0;
        for (int turn = 0; turn < 2000; ++turn) {
            if (waitpid(child_, &status, WNOHANG) == child_) {
                child_ = -1;
                return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            }
            sd_event_run(loop_, 10'000);
        }
        return -1;
    }

    const std::string &said() const { return said_; }

private:
    // Has the loop answer and reads what there is. False when nothing will come any more.
    bool take() {
        sd_event_run(loop_, 5'000);
        pollfd wait{terminal_, POLLIN, 0};
        if (poll(&wait, 1, 0) <= 0)
            return true;
        char buffer[4096];
        const ssize_t got = read(terminal_, buffer, sizeof buffer);
        if (got > 0)
            said_.append(buffer, static_cast<std::size_t>(got));
        return got > 0;
    }

    sd_event *loop_;
    int terminal_ = -1;
    pid_t child_ = -1;
    std::string said_;
};

std::vector<std::string> linesOf(const std::string &frame) {
    const std::string plain = std::regex_replace(frame, std::regex("\033\\[[0-9;]*[A-Za-z]"), "");
    std::vector<std::string> lines(1);
    for (const char c : plain)
        if (c == '\n')
            lines.emplace_back();
        else if (c != '\r')
            lines.back() += c;
    return lines;
}

TEST_F(CtlTest, TopFitsATerminalAndTakesItsKeys) {
    std::vector<KernelFacts> all;
    for (model::ConnectionId id = 1; id <= 40; ++id)
        all.push_back(hidden(id));
    all.push_back(governed(41));
    startWith(all);
    OnTerminal top(loop.get(), {FUSEWBCTL, "top", "--interval", "0.1"});
    const std::string first = top.frameWith("q quit");
    const std::vector<std::string> lines = linesOf(first);
    EXPECT_EQ(lines.size(), 24U);
    for (const std::string &line : lines)
        EXPECT_LE(line.size(), 80U) << line;
    EXPECT_THAT(first, HasSubstr("by number"));
    top.type("s");
    EXPECT_NE(top.frameWith("by requests"), "") << top.said();
    for (int key = 0; key < 40; ++key)
        top.type("j");
    top.type("a");
    EXPECT_NE(top.frameWith("abort /proc? y to do so"), "") << top.said();
    top.type("n");
    EXPECT_NE(top.frameWith("q quit"), "");
    EXPECT_EQ(kernel.connections.at(41).state, State::Ready);
    top.type("a");
    EXPECT_NE(top.frameWith("abort /proc? y to do so"), "");
    top.type("y");
    EXPECT_NE(top.frameWith("aborted"), "");
    EXPECT_EQ(kernel.connections.at(41).state, State::Aborted);
    top.type("q");
    EXPECT_EQ(top.end(), 0);
    EXPECT_THAT(top.said(), testing::EndsWith("\033[?25h\033[?1049l"))
        << "the screen is given back";
}

TEST_F(CtlTest, PersonMayBeAskedForAPassword) {
    if (geteuid() != 0)
        GTEST_SKIP() << "becoming another user takes root";
    startWith({governed(3)});
    const FakePolkit polkit(bus.address(), {{"org.fusewb1.manage-policy", 'c'}});
    const uid_t stranger = 65534;
    EXPECT_EQ(run({"set", "@3", "Writeback=direct"}, stranger).status, 0);
    EXPECT_EQ(kernel.connections.at(3).policy.get(Setting::Writeback), 1U);
    EXPECT_EQ(run({"policy", "reload"}, stranger).status, 0);
    EXPECT_EQ(run({"abort", "@3"}, stranger).status, 0);
    EXPECT_EQ(kernel.connections.at(3).state, State::Aborted);
}

TEST_F(CtlTest, WhoMayNotIsTold) {
    if (geteuid() != 0)
        GTEST_SKIP() << "becoming another user takes root";
    startWith({governed(3)});
    const FakePolkit polkit(bus.address(), {});
    const Ran ran = run({"set", "@3", "Writeback=direct"}, 65534);
    EXPECT_EQ(ran.status, 5);
    EXPECT_EQ(ran.error, "fusewbctl: SetPolicy is not allowed to you\n");
    EXPECT_EQ(kernel.changes, 0);
}

TEST_F(CtlTest, DoctorNamesTheCommandThatMends) {
    const Ran ran = run({"doctor"});
    EXPECT_EQ(ran.status, 6);
    EXPECT_THAT(ran.out, AllOf(HasSubstr("daemon: fusewbd is not running"),
                               HasSubstr("try: systemctl restart fusewbd")));
}

TEST_F(CtlTest, DoctorUnmountsByNameWhateverTheNameIs) {
    const std::filesystem::path point = directory / "it's a place";
    std::filesystem::create_directory(point);
    struct stat status {};
    if (unshare(CLONE_NEWNS) < 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
        mount("none", point.c_str(), "tmpfs", 0, nullptr) < 0 || stat(point.c_str(), &status) < 0)
        GTEST_SKIP() << "mounting takes root";
    KernelFacts facts = governed(3);
    facts.device = status.st_dev;
    facts.state = State::Aborted;
    startWith({facts});
    const std::string said = run({"doctor"}).out;
    umount2(point.c_str(), MNT_DETACH);
    const std::string command = "try: umount '" + (directory / "it'\\''s a place").string() + "'";
    EXPECT_THAT(said, AllOf(HasSubstr(command + "\n"),
                            HasSubstr(command + " && modprobe -r fusewb && modprobe fusewb\n")));
}

} // namespace
} // namespace fusewb
