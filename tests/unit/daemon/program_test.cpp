// SPDX-License-Identifier: GPL-2.0-only
// fusewbd as a process, and what it tells systemd of itself.
#include "bus_fixture.h"
#include "mounter/message.h"

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

namespace fusewb {
namespace {

using namespace test;

class ProgramTest : public testing::Test {
protected:
    void SetUp() override {
        if (geteuid() != 0)
            GTEST_SKIP() << "the mount table of process 1 takes root";
        std::string name = std::filesystem::temp_directory_path() / "fusewbd-program-XXXXXX";
        directory = mkdtemp(name.data());
        notifications = mounter::Descriptor(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string path = directory / "notify";
        path.copy(address.sun_path, sizeof(address.sun_path) - 1);
        ASSERT_EQ(
            bind(notifications.get(), reinterpret_cast<sockaddr *>(&address), sizeof(address)), 0);
        process = fork();
        ASSERT_GE(process, 0);
        if (process == 0) {
            setenv("NOTIFY_SOCKET", path.c_str(), 1);
            setenv("WATCHDOG_USEC", "500000", 1);
            setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
            execl(FUSEWBD, "fusewbd", static_cast<char *>(nullptr));
            _exit(127);
        }
    }

    void TearDown() override {
        if (process > 0) {
            kill(process, SIGKILL);
            waitpid(process, nullptr, 0);
        }
        if (!directory.empty())
            std::filesystem::remove_all(directory);
    }

    // Waits for a notification with that line in it, and passes over others. Its text.
    std::string told(const std::string &line) {
        std::array<char, 4096> buffer;
        for (;;) {
            pollfd wait{notifications.get(), POLLIN, 0};
            if (poll(&wait, 1, 20'000) != 1)
                return "nothing";
            const ssize_t got = recv(notifications.get(), buffer.data(), buffer.size(), 0);
            if (got <= 0)
                return "nothing";
            const std::string text(buffer.data(), static_cast<std::size_t>(got));
            if (("\n" + text + "\n").find("\n" + line + "\n") != std::string::npos)
                return text;
        }
    }

    PrivateBus bus;
    std::filesystem::path directory;
    mounter::Descriptor notifications;
    pid_t process = -1;
};

TEST_F(ProgramTest, TellsSystemdWhatItIsDoing) {
    EXPECT_EQ(told("READY=1"), "READY=1");
    EXPECT_EQ(told("WATCHDOG=1"), "WATCHDOG=1");
    ASSERT_EQ(kill(process, SIGHUP), 0);
    EXPECT_NE(told("RELOADING=1").find("\nMONOTONIC_USEC="), std::string::npos);
    EXPECT_EQ(told("READY=1"), "READY=1");
    ASSERT_EQ(kill(process, SIGTERM), 0);
    EXPECT_EQ(told("STOPPING=1"), "STOPPING=1");
    int status = 0;
    ASSERT_EQ(waitpid(process, &status, 0), process);
    process = -1;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

} // namespace
} // namespace fusewb
