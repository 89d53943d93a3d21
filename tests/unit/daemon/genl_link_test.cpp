// SPDX-License-Identifier: GPL-2.0-only
// The link on the running kernel, which has generic netlink but need not have the module.
#include "kernel/genl_link.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <linux/genetlink.h>

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
