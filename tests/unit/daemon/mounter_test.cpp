// SPDX-License-Identifier: GPL-2.0-only
// Mounts for users: what goes between fusewbd and fusewb-mounter, which options and places are a
// user's to choose, and who is let through to ask.
#include "bus_case.h"
#include "mounter/helper_note.h"
#include "mounter/message.h"
#include "mounter/place.h"
#include "mounter/user_options.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

namespace fusewb {
namespace {

using namespace test;
using mounter::Descriptor;
using testing::HasSubstr;

constexpr uid_t user = 65534;

Descriptor opened(const std::string &path, int flags = O_PATH) {
    Descriptor file(open(path.c_str(), flags | O_CLOEXEC, 0644));
    EXPECT_TRUE(file.held()) << path;
    return file;
}

struct Ends {
    Ends() {
        int both[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both), 0);
        near = Descriptor(both[0]);
        far = Descriptor(both[1]);
    }
    Descriptor near;
    Descriptor far;
};

mounter::Request aRequest() {
    mounter::Request request;
    request.user = 1000;
    request.group = 100;
    request.source = "a source";
    request.subtype = "sshfs";
    request.options = "ro";
    request.place = opened("/tmp");
    request.nameSpace = opened("/proc/self/ns/mnt", O_RDONLY);
    request.device = opened("/dev/null", O_RDWR);
    return request;
}

TEST(MounterMessage, RequestArrivesWithItsDescriptors) {
    const Ends ends;
    ASSERT_TRUE(mounter::send(ends.near.get(), aRequest()));
    const auto got = mounter::receive(ends.far.get());
    ASSERT_TRUE(got) << got.failure().what;
    EXPECT_EQ(got->verb, mounter::Verb::Mount);
    EXPECT_EQ(got->user, 1000U);
    EXPECT_EQ(got->group, 100U);
    EXPECT_EQ(got->source, "a source");
    EXPECT_EQ(got->subtype, "sshfs");
    EXPECT_EQ(got->options, "ro");
    struct stat sent {};
    struct stat received {};
    ASSERT_EQ(stat("/tmp", &sent), 0);
    ASSERT_EQ(fstat(got->place.get(), &received), 0);
    EXPECT_EQ(sent.st_ino, received.st_ino);
    EXPECT_NE(fcntl(got->device.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(MounterMessage, AnswersArriveWithTheirWords) {
    const Ends ends;
    ASSERT_TRUE(mounter::sendAnswer(ends.far.get(), done()));
    EXPECT_TRUE(mounter::receiveAnswer(ends.near.get()));
    ASSERT_TRUE(mounter::sendAnswer(ends.far.get(), Failure{"not yours", EPERM}));
    const auto refused = mounter::receiveAnswer(ends.near.get());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.failure().what, "not yours");
    EXPECT_EQ(refused.failure().error, EPERM);
}

TEST(MounterMessage, MounterThatEndsWithoutAWordIsAFailure) {
    Ends ends;
    { const Descriptor closed = std::move(ends.far); }
    EXPECT_FALSE(mounter::receiveAnswer(ends.near.get()));
}

TEST(MounterMessage, WhatIsNoRequestIsRefused) {
    const std::string head("\1\0\0\0\1\0\0\0\350\3\0\0d\0\0\0", 16);
    const std::string texts("a\0b\0c\0", 6);
    for (const std::string &bytes :
         {std::string(1, '\1'), head, head + texts.substr(0, 5), head + texts, // no descriptors
          std::string("\2\0\0\0", 4) + head.substr(4) + texts, head + texts + "x",
          std::string("\1\0\0\0\3\0\0\0", 8) + head.substr(8) + texts, std::string(5000, 'x')}) {
        const Ends ends;
        ASSERT_EQ(::send(ends.near.get(), bytes.data(), bytes.size(), 0),
                  static_cast<ssize_t>(bytes.size()));
        const auto got = mounter::receive(ends.far.get());
        ASSERT_FALSE(got) << bytes.size();
        EXPECT_EQ(got.failure().error, EBADMSG);
    }
}

TEST(MounterMessage, NamesDoNotReachIntoEachOther) {
    const Ends ends;
    mounter::Request request = aRequest();
    request.source = std::string("a\0b", 3);
    EXPECT_FALSE(mounter::send(ends.near.get(), request));
    request.source = std::string(5000, 'x');
    EXPECT_FALSE(mounter::send(ends.near.get(), request));
}

TEST(UserOptions, ForceNosuidAndNodev) {
    for (const char *text : {"", "rw,exec", "ro,noexec,noatime,max_read=131072"}) {
        const auto sorted = mounter::sortUserOptions(text);
        ASSERT_TRUE(sorted) << text;
        EXPECT_EQ(sorted->attributes & (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV),
                  std::uint64_t{MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV})
            << text;
    }
    const auto sorted = mounter::sortUserOptions("ro,,default_permissions,max_read=4096");
    ASSERT_TRUE(sorted);
    EXPECT_TRUE(sorted->readOnly);
    using Pair = std::pair<std::string, std::string>;
    EXPECT_THAT(sorted->parameters,
                testing::ElementsAre(Pair("default_permissions", ""), Pair("max_read", "4096")));
}

TEST(UserOptions, RefuseWhatIsNotTheUsersToSay) {
    for (const char *text :
         {"suid", "dev", "allow_other", "user_id=0", "group_id=0", "fd=5", "rootmode=40000",
          "ro,user_id=0", "subtype=x", "context=system_u", "max_read", "default_permissions=1",
          "source=/dev/sda", "remount", "mand", "RO", "ro ", "=", "max_read=1,suid"}) {
        const auto sorted = mounter::sortUserOptions(text);
        EXPECT_FALSE(sorted) << text;
    }
    EXPECT_EQ(mounter::sortUserOptions("allow_other").failure().error, EPERM);
    EXPECT_THAT(mounter::sortUserOptions("ro,user_id=0").failure().what, HasSubstr("user_id=0"));
}

// libmount is led to a table of the test's own.
class HelperNotesTest : public testing::Test {
protected:
    HelperNotesTest() {
        setenv("LIBMOUNT_UTAB", path_.c_str(), 1);
        std::ofstream(path_) << "SRC=other TARGET=/other ROOT=/ OPTS=uhelper=udisks2\n";
    }
    ~HelperNotesTest() override {
        unsetenv("LIBMOUNT_UTAB");
        for (const char *suffix : {"", ".lock", ".event"})
            std::filesystem::remove(path_ + suffix);
    }

    std::string table() const {
        std::ifstream file(path_);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::string lockPath() const { return path_ + ".lock"; }

private:
    const std::string path_ = testing::TempDir() + "utab-" + std::to_string(getpid());
};

TEST_F(HelperNotesTest, MountIsNotedUntilItIsTakenAway) {
    const mounter::HelperNotes notes;
    const Outcome added = notes.add("host:/a dir", "/home/user/a mount");
    ASSERT_TRUE(added) << added.failure().what;
    EXPECT_THAT(table(), HasSubstr("SRC=host:/a\\040dir TARGET=/home/user/a\\040mount ROOT=/ "
                                   "OPTS=uhelper=fusewb-user\n"));
    const Outcome removed = notes.remove("/home/user/a mount");
    ASSERT_TRUE(removed) << removed.failure().what;
    EXPECT_EQ(table().find("fusewb"), std::string::npos) << table();
    EXPECT_THAT(table(), HasSubstr("TARGET=/other"));
    EXPECT_TRUE(notes.remove("/home/user/a mount"));
}

TEST_F(HelperNotesTest, WhoeverKeepsTheLockHoldsNobodyUp) {
    const mounter::HelperNotes notes;
    const Descriptor lock = opened(lockPath(), O_RDONLY | O_CREAT);
    ASSERT_EQ(flock(lock.get(), LOCK_EX | LOCK_NB), 0);
    const auto begin = std::chrono::steady_clock::now();
    const Outcome added = notes.add("host:", "/home/user/mount");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
    ASSERT_FALSE(added);
    EXPECT_EQ(added.failure().error, ETIMEDOUT);
    EXPECT_EQ(table().find("fusewb"), std::string::npos) << table();
}

TEST_F(HelperNotesTest, NothingIsWrittenWhereRunIsAnotherDirectory) {
    const pid_t child = fork();
    if (child == 0) {
        const mounter::HelperNotes notes;
        if (unshare(CLONE_NEWNS) < 0 ||
            mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
            mount("none", "/run", "tmpfs", 0, nullptr) < 0)
            _exit(77);
        _exit(notes.add("host:", "/mnt") ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        GTEST_SKIP() << "mounting takes root";
    EXPECT_EQ(status, 0);
    EXPECT_EQ(table().find("fusewb"), std::string::npos) << table();
}

class PlaceTest : public testing::Test {
protected:
    PlaceTest() : directory(std::filesystem::temp_directory_path() / "fusewb-place-XXXXXX") {
        std::string name = directory;
        directory = mkdtemp(name.data());
    }
    ~PlaceTest() override { std::filesystem::remove_all(directory); }

    std::string check(const Descriptor &place, uid_t who = geteuid()) {
        const auto proc = mounter::OwnProc::open();
        EXPECT_TRUE(proc);
        const Outcome good = mounter::checkPlace(*proc, place.get(), who);
        return good ? "good" : good.failure().what;
    }

    std::filesystem::path directory;
};

TEST_F(PlaceTest, OwnDirectoriesAndFilesAreGood) {
    std::ofstream(directory / "file") << "x";
    EXPECT_EQ(check(opened(directory)), "good");
    EXPECT_EQ(check(opened(directory / "file")), "good");
}

TEST_F(PlaceTest, WhatIsAnothersIsNot) {
    EXPECT_THAT(check(opened(directory), geteuid() + 1), HasSubstr("another user"));
    EXPECT_THAT(check(opened("/etc"), user), HasSubstr("another user"));
}

TEST_F(PlaceTest, WhatIsNotWritableIsNot) {
    std::filesystem::permissions(directory, std::filesystem::perms(0555));
    EXPECT_THAT(check(opened(directory)), HasSubstr("not writable"));
}

TEST_F(PlaceTest, LinksAndFileSystemsOfTheKernelsAreNot) {
    std::filesystem::create_symlink("/etc", directory / "link");
    EXPECT_THAT(check(opened(directory / "link", O_PATH | O_NOFOLLOW)), HasSubstr("neither"));
    // A file of this process's own that its owner may write.
    EXPECT_THAT(check(opened("/proc/self/comm")), HasSubstr("kernel's own"));
}

// The user of a FUSE file system may write there.
TEST_F(PlaceTest, ControlsOfFuseConnectionsAreNot) {
    const Descriptor device(open("/dev/fuse", O_RDWR | O_CLOEXEC));
    const std::string options =
        "fd=" + std::to_string(device.get()) + ",rootmode=40000,user_id=0,group_id=0";
    if (!device.held() || unshare(CLONE_NEWNS) < 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
        ::mount("none", directory.c_str(), "fusectl", 0, nullptr) < 0 ||
        ::mount("none", "/mnt", "fuse", 0, options.c_str()) < 0)
        GTEST_SKIP() << "mounting takes root";
    std::string abort;
    for (const auto &connection : std::filesystem::directory_iterator(directory))
        abort = connection.path() / "abort";
    EXPECT_THAT(check(opened(abort)), HasSubstr("kernel's own"));
    EXPECT_EQ(umount2(directory.c_str(), MNT_DETACH), 0);
}

TEST_F(PlaceTest, WhatIsNoFusewbMountIsNotUnmounted) {
    const auto proc = mounter::OwnProc::open();
    ASSERT_TRUE(proc);
    const Outcome own = mounter::checkOwnMount(*proc, opened(directory).get(), geteuid());
    ASSERT_FALSE(own);
    EXPECT_THAT(own.failure().what, HasSubstr("no fusewb file system"));
}

TEST_F(PlaceTest, WhatIsNoMountNamespaceIsNotEntered) {
    EXPECT_FALSE(mounter::enterNamespace(opened(directory).get()));
    EXPECT_FALSE(mounter::enterNamespace(opened("/proc/self/ns/net", O_RDONLY).get()));
}

// A mounter that says what the test wants, on a socket of the test's own.
class MountForUserTest : public BusTest {
protected:
    void SetUp() override {
        if (geteuid() != 0)
            GTEST_SKIP() << "becoming another user takes root";
        kernel.module = model::ModuleInfo{"9.8.7", 7, 38};
        settings.mounterSocket = directory / "mounter";
        settings.mountsPerUser = 2;
        listening = Descriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        settings.mounterSocket.copy(address.sun_path, sizeof(address.sun_path) - 1);
        ASSERT_EQ(bind(listening.get(), reinterpret_cast<sockaddr *>(&address), sizeof(address)),
                  0);
        ASSERT_EQ(listen(listening.get(), 8), 0);
        sd_event_source *source = nullptr;
        ASSERT_GE(sd_event_add_io(loop.get(), &source, listening.get(), EPOLLIN, onRequest, this),
                  0);
        requests.reset(source);
        start();
        other = std::make_unique<Client>(loop.get(), bus.address(), user);
    }

    Reply mount(Client &who) {
        return who.callWith(managerPath, manager, "Mount", [](sd_bus_message *message) {
            const Descriptor place = opened("/tmp");
            const Descriptor nameSpace = opened("/proc/self/ns/mnt", O_RDONLY);
            const Descriptor device = opened("/dev/null", O_RDWR);
            sd_bus_message_append(message, "hhhusss", device.get(), place.get(), nameSpace.get(),
                                  100U, "source", "sshfs", "ro");
        });
    }

    Reply unmount(Client &who) {
        return who.callWith(managerPath, manager, "Unmount", [](sd_bus_message *message) {
            const Descriptor place = opened("/tmp");
            const Descriptor nameSpace = opened("/proc/self/ns/mnt", O_RDONLY);
            sd_bus_message_append(message, "hh", place.get(), nameSpace.get());
        });
    }

    static int onRequest(sd_event_source *, int fd, std::uint32_t, void *data) {
        auto &test = *static_cast<MountForUserTest *>(data);
        const Descriptor taken(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
        auto request = mounter::receive(taken.get());
        EXPECT_TRUE(request);
        if (!request)
            return 0;
        test.askedFor.push_back(std::move(*request));
        if (test.silent)
            return 0;
        if (test.late) {
            test.unanswered = Descriptor(dup(taken.get()));
            test.bus.stop();
            return 0;
        }
        if (test.answer && test.askedFor.back().verb == mounter::Verb::Mount) {
            KernelFacts facts = own(10 + test.askedFor.size());
            facts.serverUid = test.askedFor.back().user;
            test.kernel.add(facts);
        }
        EXPECT_TRUE(mounter::sendAnswer(taken.get(), test.answer));
        return 0;
    }

    Descriptor listening;
    EventSource requests;
    std::unique_ptr<Client> other;
    std::vector<mounter::Request> askedFor;
    Outcome answer = done();
    bool silent = false; // the mounter goes away without an answer
    bool late = false;   // the mounter does not answer, but keeps what to answer on; the bus goes
    Descriptor unanswered;
};

constexpr const char *accessDenied = "org.freedesktop.DBus.Error.AccessDenied";

TEST_F(MountForUserTest, TakesPolkit) {
    EXPECT_EQ(mount(*other).error, accessDenied);
    EXPECT_EQ(unmount(*other).error, accessDenied);
    const FakePolkit polkit(bus.address(), {{"org.fusewb1.manage-policy", 'y'}});
    EXPECT_EQ(mount(*other).error, accessDenied);
    EXPECT_EQ(unmount(*other).error, accessDenied);
    EXPECT_TRUE(askedFor.empty());
}

TEST_F(MountForUserTest, IsAskedForInTheNameOfWhoTheBusSaysItIs) {
    const FakePolkit polkit(
        bus.address(), {{"org.fusewb1.mount", 'y'}, {"org.fusewb1.manage-own-connection", 'y'}});
    EXPECT_EQ(mount(*other).error, "");
    ASSERT_EQ(askedFor.size(), 1U);
    EXPECT_EQ(askedFor[0].user, user);
    EXPECT_EQ(askedFor[0].group, 100U);
    EXPECT_EQ(askedFor[0].source, "source");
    EXPECT_EQ(askedFor[0].subtype, "sshfs");
    EXPECT_EQ(askedFor[0].options, "ro");
    EXPECT_EQ(unmount(*other).error, "");
    ASSERT_EQ(askedFor.size(), 2U);
    EXPECT_EQ(askedFor[1].verb, mounter::Verb::Unmount);
    EXPECT_EQ(askedFor[1].user, user);
}

TEST_F(MountForUserTest, HasABound) {
    const FakePolkit polkit(bus.address(), {{"org.fusewb1.mount", 'y'}});
    EXPECT_EQ(mount(*other).error, "");
    EXPECT_EQ(mount(*other).error, "");
    const Reply third = mount(*other);
    EXPECT_EQ(third.error, "org.fusewb1.Error.TooMany");
    EXPECT_THAT(third.message, HasSubstr("more than 2"));
    // It is the user's own, and not root's.
    EXPECT_EQ(mount(*client).error, "");
    kernel.remove(11);
    ASSERT_TRUE(client->heard("ConnectionRemoved /org/fusewb " + pathOf(11)));
    EXPECT_EQ(mount(*other).error, "");
}

TEST_F(MountForUserTest, AtTheBoundPolkitIsNotAsked) {
    {
        const FakePolkit polkit(bus.address(), {{"org.fusewb1.mount", 'y'}});
        EXPECT_EQ(mount(*other).error, "");
        EXPECT_EQ(mount(*other).error, "");
    }
    EXPECT_EQ(mount(*other).error, "org.fusewb1.Error.TooMany");
}

TEST_F(MountForUserTest, IsRefusedInTheWordsOfTheMounter) {
    const FakePolkit polkit(bus.address(), {{"org.fusewb1.mount", 'y'}});
    answer = Failure{"the mount point belongs to another user", EPERM};
    const Reply reply = mount(*other);
    EXPECT_EQ(reply.error, "org.fusewb1.Error.Refused");
    EXPECT_EQ(reply.message, "the mount point belongs to another user");
}

TEST_F(MountForUserTest, AnswerThatComesAfterTheBusWentIsNobodys) {
    late = true;
    EXPECT_NE(mount(*client).error, "");
    ASSERT_TRUE(unanswered.held());
    other.reset();
    client.reset();
    bus.start();
    client = std::make_unique<Client>(loop.get(), bus.address());
    const auto there = [this] { return callManager("ListConnections").error.empty(); };
    for (int turn = 0; turn < 100 && !there(); ++turn)
        sd_event_run(loop.get(), 50'000);
    ASSERT_TRUE(mounter::sendAnswer(unanswered.get(), done()));
    EXPECT_TRUE(there());
}

TEST_F(MountForUserTest, AnswerThatCannotBeGivenIsGivenOnce) {
    core::Mounting mounting(loop.get(), settings.mounterSocket);
    int answers = 0;
    mounter::Request request = aRequest();
    const uid_t who = request.user;
    mounting.ask(std::move(request), [&answers](const Outcome &) {
        ++answers;
        throw std::runtime_error("there is nobody to answer");
    });
    for (int turn = 0; turn < 100 && mounting.inWork(who) > 0; ++turn)
        sd_event_run(loop.get(), 50'000);
    EXPECT_EQ(mounting.inWork(who), 0U);
    EXPECT_EQ(answers, 1);
}

TEST_F(MountForUserTest, MounterThatIsNotThereOrDiesIsAFailure) {
    silent = true;
    EXPECT_EQ(mount(*client).error, "org.fusewb1.Error.Refused");
    requests.reset();
    listening = Descriptor();
    const Reply reply = mount(*client);
    EXPECT_EQ(reply.error, "org.fusewb1.Error.Refused");
    EXPECT_THAT(reply.message, HasSubstr("fusewb-mounter.socket"));
}

} // namespace
} // namespace fusewb
