// SPDX-License-Identifier: GPL-2.0-only
// Real processes, shell scripts in the server's place: what counts here is how they end.
#include "mount/server_process.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace fusewb;
namespace fs = std::filesystem;

namespace {

using std::chrono::milliseconds;

// Long enough that a loaded machine passes, short enough that the tests of a limit do not drag.
constexpr WaitLimits short_limits{milliseconds(300), milliseconds(300)};
constexpr WaitLimits long_limits{milliseconds(60'000), milliseconds(60'000)};

class ServerProcessTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "fusewb-test-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
        device_ = open("/dev/null", O_RDWR | O_CLOEXEC);
        ASSERT_GE(device_, 0);
    }
    void TearDown() override {
        close(device_);
        fs::remove_all(directory_);
    }

    std::string script(const std::string &text) const {
        const fs::path path = directory_ / "server";
        std::ofstream(path) << "#!/bin/sh\n" << text << '\n';
        fs::permissions(path, fs::perms::owner_all);
        return path.string();
    }

    Status start(const std::string &text) {
        const std::string path = script(text);
        return server_.start(path, {path, directory_.string()}, device_, find_account("").value());
    }

    // What the server wrote into the file `name`.
    std::string written(const std::string &name) const {
        std::string line;
        std::getline(std::ifstream(directory_ / name), line);
        return line;
    }

    fs::path directory_;
    int device_ = -1;
    ServerProcess server_;
};

int answer_at_once() { return 0; }
int never_answer() {
    pause();
    return 0;
}
int disconnected() { return ENOTCONN; }

TEST_F(ServerProcessTest, SucceedsWhenTheFirstProcessEndedWellAndTheRootAnswers) {
    ASSERT_TRUE(start("exit 0"));
    EXPECT_TRUE(server_.wait_for_answer("server", answer_at_once, long_limits));
}

TEST_F(ServerProcessTest, LeavesAForegroundServerRunningOnceTheRootAnswers) {
    ASSERT_TRUE(start("echo $$ > $1/pid; exec sleep 1000"));
    EXPECT_TRUE(server_.wait_for_answer("server", answer_at_once, short_limits));
    while (written("pid").empty())
        usleep(1000);
    const pid_t pid = std::stoi(written("pid"));
    EXPECT_EQ(kill(pid, 0), 0);
    server_.end_all();
    EXPECT_EQ(kill(pid, 0), -1);
}

TEST_F(ServerProcessTest, ReportsTheExitStatusOfAServerThatFails) {
    ASSERT_TRUE(start("exit 3"));
    const Status status = server_.wait_for_answer("srv", disconnected, long_limits);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.failure().code, ExitCode::mount_failure);
    EXPECT_EQ(status.failure().cause, "the server srv failed with exit status 3");
    server_.end_all();
}

TEST_F(ServerProcessTest, ReportsTheSignalThatKilledAServer) {
    ASSERT_TRUE(start("kill -SEGV $$"));
    const Status status = server_.wait_for_answer("srv", never_answer, long_limits);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.failure().cause, "the server srv was killed by signal Segmentation fault");
    server_.end_all();
}

TEST_F(ServerProcessTest, FailsWhenTheServerEndsWithoutHavingServed) {
    ASSERT_TRUE(start("exit 0"));
    const Status status = server_.wait_for_answer("srv", disconnected, long_limits);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.failure().code, ExitCode::mount_failure);
    EXPECT_NE(status.failure().cause.find("ended before"), std::string::npos);
    server_.end_all();
}

TEST_F(ServerProcessTest, TakesAnErrorOfTheServerForAnAnswer) {
    ASSERT_TRUE(start("exit 0"));
    EXPECT_TRUE(server_.wait_for_answer(
        "srv", [] { return EIO; }, long_limits));
}

TEST_F(ServerProcessTest, GivesUpOnAServerThatNeverAnswersAndEndsAllItsProcesses) {
    // The background process is what a libfuse server leaves behind; it ignores SIGTERM here.
    ASSERT_TRUE(start("sh -c 'trap \"\" TERM; echo $$ > $0/pid; while :; do sleep 1; done' $1 & "
                      "while ! [ -s $1/pid ]; do sleep 0.01; done; exit 0"));
    const Status status = server_.wait_for_answer("srv", never_answer, short_limits);
    ASSERT_FALSE(status);
    EXPECT_NE(status.failure().cause.find("did not answer"), std::string::npos);
    const pid_t pid = std::stoi(written("pid"));
    EXPECT_EQ(kill(pid, 0), 0);
    server_.end_all();
    EXPECT_EQ(kill(pid, 0), -1);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
    EXPECT_EQ(errno, ECHILD);
}

TEST_F(ServerProcessTest, StopsWaitingWhenItIsInterrupted) {
    ASSERT_TRUE(start("exec sleep 1000"));
    kill(getpid(), SIGINT);
    const Status status = server_.wait_for_answer("srv", never_answer, long_limits);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.failure().code, ExitCode::interrupted);
    server_.end_all();
}

TEST_F(ServerProcessTest, HandsOverTheDescriptorOpen) {
    ASSERT_TRUE(start("[ -e /proc/self/fd/" + std::to_string(device_) + " ]"));
    EXPECT_TRUE(server_.wait_for_answer("srv", answer_at_once, long_limits));
}

TEST_F(ServerProcessTest, SaysThatAProgramCannotBeRun) {
    const std::string path = (directory_ / "broken").string();
    std::ofstream(path) << "#!/no/such/interpreter\n";
    fs::permissions(path, fs::perms::owner_all);
    const Status status = server_.start(path, {path}, device_, find_account("").value());
    ASSERT_FALSE(status);
    EXPECT_EQ(status.failure().code, ExitCode::mount_failure);
    EXPECT_NE(status.failure().cause.find("No such file or directory"), std::string::npos);
    server_.end_all();
}

TEST_F(ServerProcessTest, FindsServersOnThePathAndByTheirOwnPath) {
    const Result<std::string> shell = find_server("sh");
    ASSERT_TRUE(shell);
    EXPECT_TRUE(shell.value().ends_with("/sh"));
    const std::string path = script("exit 0");
    ASSERT_TRUE(find_server(path));
    EXPECT_EQ(find_server(path).value(), fs::canonical(path).string());
}

TEST_F(ServerProcessTest, DoesNotTakeDirectoriesAndPlainFilesForServers) {
    std::ofstream(directory_ / "plain") << "text";
    for (const std::string &name :
         {std::string("no-such-server"), directory_.string(), (directory_ / "plain").string()}) {
        const Result<std::string> found = find_server(name);
        ASSERT_FALSE(found) << name;
        EXPECT_EQ(found.failure().code, ExitCode::mount_failure);
        EXPECT_FALSE(found.failure().remedy.empty());
    }
}

TEST(Account, IsTheCallersUnlessNamed) {
    EXPECT_EQ(find_account("").value().user, geteuid());
    EXPECT_EQ(find_account("root").value().user, 0u);
    const Result<Account> unknown = find_account("no-such-user");
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.failure().code, ExitCode::usage);
}

} // namespace
