// SPDX-License-Identifier: GPL-2.0-only
// The link on the running kernel, which has generic netlink but need not have the module.
#include "kernel/genl_link.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace fusewb {
namespace {

struct Recorder final : kernel::LinkObserver {
    void synchronised(const model::ModuleInfo &, const model::Defaults &,
                      const std::vector<model::KernelFacts> &) override {
        ++synchronisations;
    }
    void moduleGone() override { ++absences; }
    void connectionSeen(const model::KernelFacts &) override {}
    void connectionRemoved(model::ConnectionId) override {}
    void deadlineExpired(const model::Expiry &) override {}
    void defaultsChanged(const model::Defaults &) override {}

    int synchronisations = 0;
    int absences = 0;
};

TEST(GenlSocket, ControllerIsFoundAndAnswers) {
    auto socket = kernel::GenlSocket::forRequests();
    ASSERT_TRUE(socket) << socket.failure().what;
    const auto family = socket->resolveFamily("nlctrl");
    ASSERT_TRUE(family) << family.failure().what;
    EXPECT_EQ(*family, GENL_ID_CTRL);
    const auto all =
        socket->ask({.family = *family, .version = 2, .command = CTRL_CMD_GETFAMILY, .dump = true});
    ASSERT_TRUE(all) << all.failure().what;
    EXPECT_GE(all->size(), 1U);
}

TEST(GenlSocket, FamilyThatIsNotThereIsNotFound) {
    auto socket = kernel::GenlSocket::forRequests();
    ASSERT_TRUE(socket);
    const auto family = socket->resolveFamily("no-such-family");
    ASSERT_FALSE(family);
    EXPECT_EQ(family.failure().error, ENOENT);
}

TEST(GenlSocket, RefusalCarriesTheErrno) {
    auto socket = kernel::GenlSocket::forRequests();
    ASSERT_TRUE(socket);
    const auto answer = socket->ask({.family = 0x3ff, .version = 1, .command = 1});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.failure().error, ENOENT);
    // The socket is still good after that.
    EXPECT_TRUE(socket->resolveFamily("nlctrl"));
}

TEST(GenlSocket, RefusalCarriesTheWordsOfTheKernel) {
    auto socket = kernel::GenlSocket::forRequests();
    ASSERT_TRUE(socket);
    // The controller is strict about what comes with its newer commands.
    const auto answer = socket->ask({.family = GENL_ID_CTRL,
                                     .version = 2,
                                     .command = CTRL_CMD_GETPOLICY,
                                     .dump = true,
                                     .attributes = {{CTRL_ATTR_MAXATTR, std::uint32_t{1}}}});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.failure().what.find("the kernel answers"), std::string::npos)
        << answer.failure().what;
}

TEST(GenlSocket, NoNewsAreNoMessages) {
    auto socket = kernel::GenlSocket::forEvents();
    ASSERT_TRUE(socket);
    const auto messages = socket->receive();
    ASSERT_TRUE(messages) << messages.failure().what;
    EXPECT_TRUE(messages->empty());
}

TEST(GenlLink, StartSaysOnceWhetherTheModuleIsThere) {
    auto link = kernel::GenlLink::open();
    ASSERT_TRUE(link) << link.failure().what;
    Recorder recorder;
    const Outcome started = (*link)->start(recorder);
    ASSERT_TRUE(started) << started.failure().what;
    EXPECT_EQ(recorder.synchronisations + recorder.absences, 1);
    EXPECT_GE((*link)->descriptor(), 0);
    EXPECT_TRUE((*link)->process());
    EXPECT_EQ(recorder.synchronisations + recorder.absences, 1);
}

// Says things on the controller's channel, as root of a network namespace may.
class Speaker {
public:
    explicit Speaker(int group) : socket_(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC)) {
        address_.nl_family = AF_NETLINK;
        address_.nl_groups = 1U << (group - 1);
    }
    ~Speaker() { close(socket_); }
    Speaker(const Speaker &) = delete;
    Speaker &operator=(const Speaker &) = delete;

    bool say(std::size_t bytes) {
        std::vector<std::byte> message(NLMSG_LENGTH(GENL_HDRLEN) + bytes);
        auto *header = reinterpret_cast<nlmsghdr *>(message.data());
        header->nlmsg_len = static_cast<std::uint32_t>(message.size());
        header->nlmsg_type = GENL_ID_CTRL;
        const auto sent = sendto(socket_, message.data(), message.size(), 0,
                                 reinterpret_cast<const sockaddr *>(&address_), sizeof address_);
        // That a listener has no room is told to the speaker as well.
        return sent >= 0 || errno == ENOBUFS;
    }

private:
    int socket_;
    sockaddr_nl address_{};
};

TEST(GenlLink, AfterALossTheSocketIsEmptyAndHearsAgain) {
    if (unshare(CLONE_NEWNET) < 0)
        GTEST_SKIP() << "a network namespace takes root";
    auto link = kernel::GenlLink::open();
    ASSERT_TRUE(link) << link.failure().what;
    Recorder recorder;
    ASSERT_TRUE((*link)->start(recorder));
    auto socket = kernel::GenlSocket::forRequests();
    ASSERT_TRUE(socket);
    const auto group = socket->resolveGroup("nlctrl", "notify");
    ASSERT_TRUE(group);
    Speaker speaker(*group);
    for (int said = 0; said < 512; ++said)
        ASSERT_TRUE(speaker.say(1 << 14)) << errno;

    const auto waiting = [&link] {
        pollfd descriptor{(*link)->descriptor(), POLLIN, 0};
        return poll(&descriptor, 1, 0) > 0;
    };
    ASSERT_TRUE(waiting());
    ASSERT_TRUE((*link)->process());
    EXPECT_EQ(recorder.absences, 2);
    EXPECT_FALSE(waiting());
    ASSERT_TRUE(speaker.say(1));
    EXPECT_TRUE(waiting());
}

TEST(GenlLink, ConnectionThatIsNotThereIsNotFound) {
    auto link = kernel::GenlLink::open();
    ASSERT_TRUE(link);
    Recorder recorder;
    ASSERT_TRUE((*link)->start(recorder));
    const auto facts = (*link)->fetch(~0ULL);
    ASSERT_FALSE(facts);
    EXPECT_EQ(facts.failure().error, recorder.absences > 0 ? ENODEV : ENOENT);
}

} // namespace
} // namespace fusewb
