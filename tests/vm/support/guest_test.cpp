// SPDX-License-Identifier: GPL-2.0-only
#include "support/guest_test.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/files.h"

namespace fs = std::filesystem;

namespace fusewb::test {

namespace {

fs::path current_scratch;

// One test event on its way from the test's process to the suite's.
enum class Event : char { Failure, FatalFailure, Skipped, Done };

struct Record {
    Event event;
    int line;
    std::uint32_t file_length;
    std::uint32_t text_length;
};

// Below PIPE_BUF with the record, so that events of several processes never mix.
constexpr std::size_t longest_text = 3000;

class EventPipe {
public:
    explicit EventPipe(int fd) : fd_(fd) {}

    void send(Event event, const std::string &file, int line, std::string text) const {
        if (text.size() > longest_text)
            text = text.substr(0, longest_text) + "...";
        Record record{event, line, static_cast<std::uint32_t>(file.size()),
                      static_cast<std::uint32_t>(text.size())};
        std::string bytes(reinterpret_cast<const char *>(&record), sizeof(record));
        bytes += file + text;
        if (write(fd_, bytes.data(), bytes.size()) < 0)
            std::cerr << file << ":" << line << ": " << text << std::endl;
    }

private:
    int fd_;
};

class Forwarder : public testing::EmptyTestEventListener {
public:
    explicit Forwarder(const EventPipe &events) : events_(events) {}

    void OnTestPartResult(const testing::TestPartResult &result) override {
        if (result.passed())
            return;
        Event event = result.skipped()          ? Event::Skipped
                      : result.fatally_failed() ? Event::FatalFailure
                                                : Event::Failure;
        events_.send(event, result.file_name() ? result.file_name() : "", result.line_number(),
                     result.message());
    }

private:
    EventPipe events_;
};

[[noreturn]] void run_body(const std::function<void()> &body, int fd) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    EventPipe events(fd);
    auto &listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new Forwarder(events));
    try {
        body();
    } catch (const Skip &skip) {
        events.send(Event::Skipped, "", 0, skip.what());
    } catch (const std::exception &error) {
        events.send(Event::Failure, "", 0, error.what());
    }
    events.send(Event::Done, "", 0, "");
    std::cout.flush();
    _exit(0);
}

// What the events of a test came to.
struct Outcome {
    bool done = false;
    std::string skipped;
};

// Takes whole records off the front of the buffer.
void take_events(std::string &buffer, Outcome &outcome) {
    for (;;) {
        Record record;
        if (buffer.size() < sizeof(record))
            return;
        std::memcpy(&record, buffer.data(), sizeof(record));
        std::size_t length = sizeof(record) + record.file_length + record.text_length;
        if (buffer.size() < length)
            return;
        std::string file = buffer.substr(sizeof(record), record.file_length);
        std::string text = buffer.substr(sizeof(record) + record.file_length, record.text_length);
        buffer.erase(0, length);
        switch (record.event) {
        case Event::Failure:
        case Event::FatalFailure:
            ADD_FAILURE_AT(file.empty() ? "test body" : file.c_str(), record.line) << text;
            break;
        case Event::Skipped:
            outcome.skipped = text;
            break;
        case Event::Done:
            outcome.done = true;
            break;
        }
    }
}

std::vector<int> processes_of_session(int session) {
    std::vector<int> pids;
    std::error_code ignored;
    for (const auto &entry : fs::directory_iterator("/proc", ignored)) {
        int pid = std::atoi(entry.path().filename().c_str());
        std::string stat = slurp(entry.path() / "stat");
        auto after_name = stat.rfind(')');
        if (pid <= 0 || after_name == std::string::npos)
            continue;
        std::istringstream fields(stat.substr(after_name + 1));
        char state;
        int parent, group, sid;
        fields >> state >> parent >> group >> sid;
        if (sid == session && state != 'Z')
            pids.push_back(pid);
    }
    return pids;
}

void reap() {
    while (waitpid(-1, nullptr, WNOHANG) > 0)
        ;
}

// Return: what had to be cleaned up, a line each.
std::string clean_up(const fs::path &directory, int session) {
    std::string left;

    for (const auto &mount : mounts_below(directory)) {
        left += "mount: " + mount.string() + "\n";
        umount2(mount.c_str(), MNT_FORCE);
        umount2(mount.c_str(), MNT_DETACH);
    }
    for (int pid : processes_of_session(session)) {
        left += "process " + std::to_string(pid) + ": " +
                slurp("/proc/" + std::to_string(pid) + "/comm");
        kill(pid, SIGKILL);
        kill(pid, SIGCONT);
    }
    wait_until(10s, [&] {
        reap();
        return processes_of_session(session).empty();
    });
    for (int pid : processes_of_session(session))
        left += "cannot be killed: " + where_is(pid);
    std::error_code error;
    fs::remove_all(directory, error);
    return left;
}

} // namespace

fs::path scratch() { return current_scratch; }

std::string fs_type() {
    const char *type = std::getenv("FUSEWB_TEST_FS");
    return type ? type : "fusewb";
}

void needs_fusewb() {
    if (fs_type() != "fusewb")
        throw Skip("holds for fusewb only, and this run is on " + fs_type());
}

void needs_daemon() {
    needs_fusewb();
    if (std::system("test \"$(systemctl show -P LoadState fusewbd)\" = loaded") != 0)
        throw Skip("there is no fusewbd here");
    // One that was killed is started again.
    wait_until(30s, [] {
        return std::system("test \"$(systemctl show -P ActiveState fusewbd)\" = activating") != 0;
    });
    if (std::system("systemctl -q is-active fusewbd") != 0)
        throw std::runtime_error("fusewbd is installed and does not run");
}

bool wait_until(std::chrono::milliseconds time, const std::function<bool()> &condition) {
    auto end = Clock::now() + time;
    // The whole of an emulated machine may be away for some of it.
    for (auto looks = time / 50ms; !condition(); looks--) {
        if (Clock::now() > end && looks <= 0)
            return false;
        std::this_thread::sleep_for(10ms);
    }
    return true;
}

std::string where_is(int pid) {
    std::string text;
    std::error_code ignored;
    for (const auto &thread :
         fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", ignored)) {
        std::istringstream status(slurp(thread.path() / "status"));
        std::string name, state;
        for (std::string line; std::getline(status, line);) {
            if (line.starts_with("Name:"))
                name = line.substr(6);
            if (line.starts_with("State:"))
                state = line.substr(7);
        }
        text += thread.path().filename().string() + " " + name + " " + state;
        // User-mode Linux looks for it beyond the stack's frames, which KASAN reports.
        if (slurp("/proc/cpuinfo").find("User Mode Linux") == std::string::npos)
            text += " in " + slurp(thread.path() / "wchan");
        text += "\n" + slurp(thread.path() / "stack");
    }
    return text;
}

void run_guest_test(const std::function<void()> &body, std::chrono::seconds deadline) {
    // Servers and tasks whose parent is gone are reaped here.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const char *base = std::getenv("FUSEWB_TEST_DIR");
    std::string pattern = std::string(base ? base : "/dev/shm") + "/fusewb-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr) << pattern << ": " << std::strerror(errno);
    current_scratch = pattern;
    // Unprivileged tasks of the tests pass through it.
    fs::permissions(current_scratch, fs::perms(0755));

    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    std::cout.flush();
    std::fflush(nullptr);
    pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0)
        run_body(body, ends[1]);
    close(ends[1]);

    Outcome outcome;
    std::string buffer;
    int status = 0;
    bool ended = false;
    auto end = Clock::now() + deadline;
    auto drain = [&](int timeout) {
        struct pollfd pollfd {
            ends[0], POLLIN, 0
        };
        char bytes[8192];
        while (poll(&pollfd, 1, timeout) > 0) {
            ssize_t n = read(ends[0], bytes, sizeof(bytes));
            if (n <= 0)
                return;
            buffer.append(bytes, static_cast<std::size_t>(n));
            take_events(buffer, outcome);
            timeout = 0;
        }
    };
    while (!ended && Clock::now() < end) {
        drain(50);
        ended = waitpid(pid, &status, WNOHANG) == pid;
    }
    drain(0);
    close(ends[0]);

    if (!ended) {
        std::string where;
        for (int other : processes_of_session(pid))
            where += where_is(other);
        ADD_FAILURE() << "hangs: not done after " << deadline.count() << " s\n" << where;
    } else if (WIFSIGNALED(status)) {
        ADD_FAILURE() << "the test's process was ended by: " << strsignal(WTERMSIG(status));
    } else if (!outcome.done) {
        ADD_FAILURE() << "the test's process exited before its end";
    }
    std::string left = clean_up(current_scratch, pid);
    if (!left.empty() && !testing::Test::HasFailure())
        ADD_FAILURE() << "left behind:\n" << left;
    else if (!left.empty())
        std::cout << "cleaned up:\n" << left << std::flush;
    if (!outcome.skipped.empty())
        GTEST_SKIP() << outcome.skipped;
}

} // namespace fusewb::test
