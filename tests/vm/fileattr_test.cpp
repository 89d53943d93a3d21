// SPDX-License-Identifier: GPL-2.0-only
// The flags of an inode, as lsattr(1) and chattr(1) know them, are the server's: it is asked by
// IOCTL, through a handle of its own, and who may change them the kernel looks after. The same
// tests pass on the kernel's own client.
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

// file_getattr(2) and file_setattr(2), which the headers of older distributions lack.
constexpr long file_getattr = 468;
constexpr long file_setattr = 469;

struct FileAttr {
    std::uint64_t xflags;
    std::uint32_t extsize;
    std::uint32_t nextents;
    std::uint32_t projid;
    std::uint32_t cowextsize;
};

void drop_capability(unsigned capability) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
    check(static_cast<int>(syscall(SYS_capget, &header, sets)), "capget");
    sets[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
    check(static_cast<int>(syscall(SYS_capset, &header, sets)), "capset");
}

// Return: 0 or errno.
template <typename T> int control(int fd, unsigned long command, T *argument) {
    return ioctl(fd, command, argument) < 0 ? errno : 0;
}

// A server that has flags, of one inode for all.
class Flagged {
public:
    explicit Flagged(const Client &client)
        : server({.mount_options = "allow_other", .type = client.type}) {
        server.set_content("f", "content");
        for (std::uint32_t opcode : {FUSE_OPEN, FUSE_OPENDIR})
            server.on(opcode, [this](const Request &request) {
                fuse_open_out out{};
                out.fh = ++last_handle;
                server.answer(request, bytes_of(out));
                return true;
            });
        server.on(FUSE_IOCTL, [this](const Request &request) {
            last = request.as<fuse_ioctl_in>();
            commands.push_back(last.cmd);
            carry_out(request);
            return true;
        });
    }

    std::atomic<std::uint64_t> last_handle = 0;
    fuse_ioctl_in last{};
    std::vector<std::uint32_t> commands;
    std::uint32_t flags = FS_NODUMP_FL;
    struct fsxattr extended {};
    RawServer server;

private:
    void carry_out(const Request &request) {
        std::string out(bytes_of(fuse_ioctl_out{}));
        const char *argument = request.body.data() + sizeof(fuse_ioctl_in);
        switch (last.cmd) {
        case FS_IOC_GETFLAGS:
            out += bytes_of(flags);
            break;
        case FS_IOC_SETFLAGS:
            std::memcpy(&flags, argument, sizeof(flags));
            break;
        case FS_IOC_FSGETXATTR:
            out += bytes_of(extended);
            break;
        case FS_IOC_FSSETXATTR:
            std::memcpy(&extended, argument, sizeof(extended));
            break;
        }
        server.answer(request, out);
    }
};

bool has_by_path(const Flagged &flagged) {
    FileAttr attributes{};
    return !syscall(file_getattr, AT_FDCWD, flagged.server.mnt("f").c_str(), &attributes,
                    sizeof(attributes), 0) ||
           errno != ENOSYS;
}

} // namespace

ON_CLIENTS(InodeFlags, "fusewb", "fuse");

CLIENT_TEST(InodeFlags, AreAskedForAndSetThroughAHandleOfTheirOwn) {
    Flagged flagged(client);
    Fd file(flagged.server.mnt("f"), O_RDONLY);
    std::uint64_t own = flagged.last_handle;
    std::uint32_t flags = 0;
    EXPECT_EQ(control(file, FS_IOC_GETFLAGS, &flags), 0);
    EXPECT_EQ(flags, unsigned(FS_NODUMP_FL));
    EXPECT_EQ(flagged.last.fh, own + 1);
    EXPECT_EQ(flagged.last.out_size, sizeof(flags));
    EXPECT_EQ(flagged.last.in_size, 0u);
    EXPECT_EQ(flagged.last.flags & FUSE_IOCTL_DIR, 0u);
    flags = FS_SYNC_FL;
    EXPECT_EQ(control(file, FS_IOC_SETFLAGS, &flags), 0);
    EXPECT_EQ(flagged.flags, unsigned(FS_SYNC_FL));
    EXPECT_EQ(flagged.last.in_size, sizeof(flags));
    EXPECT_EQ(flagged.last.out_size, 0u);

    struct fsxattr extended {};
    flagged.extended.fsx_xflags = FS_XFLAG_NOATIME;
    flagged.extended.fsx_projid = 1234;
    flagged.extended.fsx_nextents = 5;
    EXPECT_EQ(control(file, FS_IOC_FSGETXATTR, &extended), 0);
    EXPECT_EQ(extended.fsx_xflags, unsigned(FS_XFLAG_NOATIME));
    EXPECT_EQ(extended.fsx_projid, 1234u);
    EXPECT_EQ(extended.fsx_nextents, 5u);
    EXPECT_EQ(flagged.last.out_size, sizeof(extended));
    extended.fsx_projid = 4321;
    extended.fsx_cowextsize = 65536;
    extended.fsx_xflags |= FS_XFLAG_COWEXTSIZE;
    EXPECT_EQ(control(file, FS_IOC_FSSETXATTR, &extended), 0);
    EXPECT_EQ(flagged.extended.fsx_projid, 4321u);
    EXPECT_EQ(flagged.extended.fsx_cowextsize, 65536u);
    EXPECT_EQ(flagged.extended.fsx_xflags, unsigned(FS_XFLAG_NOATIME | FS_XFLAG_COWEXTSIZE));
    EXPECT_EQ(flagged.last.in_size, sizeof(extended));

    Fd directory(flagged.server.mnt(), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(control(directory, FS_IOC_GETFLAGS, &flags), 0);
    EXPECT_TRUE(flagged.last.flags & FUSE_IOCTL_DIR);
    // What was opened for it is closed again; the two that are open stay so.
    EXPECT_TRUE(wait_until(10s, [&] {
        return flagged.server.seen(FUSE_RELEASE) + flagged.server.seen(FUSE_RELEASEDIR) + 2 ==
               flagged.last_handle;
    })) << flagged.last_handle;
}

CLIENT_TEST(InodeFlags, AreAskedForAndSetByPath) {
    Flagged flagged(client);
    if (!has_by_path(flagged))
        throw Skip("this kernel has no file_getattr(2)");
    auto path = flagged.server.mnt("f");
    flagged.flags = FS_IMMUTABLE_FL | FS_NODUMP_FL;
    FileAttr attributes{};
    ASSERT_EQ(syscall(file_getattr, AT_FDCWD, path.c_str(), &attributes, sizeof(attributes), 0), 0)
        << errno;
    EXPECT_EQ(attributes.xflags, unsigned(FS_XFLAG_IMMUTABLE | FS_XFLAG_NODUMP));
    attributes = {};
    attributes.xflags = FS_XFLAG_NOATIME;
    attributes.projid = 77;
    ASSERT_EQ(syscall(file_setattr, AT_FDCWD, path.c_str(), &attributes, sizeof(attributes), 0), 0)
        << errno;
    EXPECT_EQ(flagged.extended.fsx_xflags, unsigned(FS_XFLAG_NOATIME));
    EXPECT_EQ(flagged.extended.fsx_projid, 77u);
    // A symbolic link has none, and a server without them says so.
    flagged.server.on(FUSE_IOCTL, [](const Request &) { return false; });
    EXPECT_EQ(syscall(file_getattr, AT_FDCWD, path.c_str(), &attributes, sizeof(attributes), 0),
              -1);
    EXPECT_EQ(errno, EOPNOTSUPP);
}

CLIENT_TEST(InodeFlags, AreTheOwnersToChange) {
    Flagged flagged(client);
    Fd file(flagged.server.mnt("f"), O_RDONLY);
    std::uint32_t flags = 0;
    struct fsxattr extended {};
    Task stranger("nobody", [&] {
        become_nobody();
        EXPECT_EQ(control(file, FS_IOC_SETFLAGS, &flags), EPERM);
        EXPECT_EQ(control(file, FS_IOC_FSSETXATTR, &extended), EPERM);
        return 0;
    });
    ASSERT_TRUE(stranger.ends_within(20s)) << stranger.where();
    EXPECT_EQ(flagged.server.seen(FUSE_IOCTL), 0u);
    EXPECT_EQ(control(file, FS_IOC_SETFLAGS, &flags), 0);
    EXPECT_EQ(flagged.flags, 0u);
}

CLIENT_TEST(InodeFlags, TheImmutableOneNeedsItsCapability) {
    Flagged flagged(client);
    Fd file(flagged.server.mnt("f"), O_RDONLY);
    Task owner("the owner without a capability", [&] {
        drop_capability(CAP_LINUX_IMMUTABLE);
        std::uint32_t immutable = FS_IMMUTABLE_FL, plain = FS_NODUMP_FL;
        struct fsxattr extended {};
        EXPECT_EQ(control(file, FS_IOC_SETFLAGS, &immutable), EPERM);
        extended.fsx_xflags = FS_XFLAG_APPEND;
        EXPECT_EQ(control(file, FS_IOC_FSSETXATTR, &extended), EPERM);
        EXPECT_EQ(control(file, FS_IOC_SETFLAGS, &plain), 0);
        return 0;
    });
    ASSERT_TRUE(owner.ends_within(20s)) << owner.where();
    EXPECT_EQ(flagged.flags, unsigned(FS_NODUMP_FL));
    EXPECT_EQ(flagged.extended.fsx_xflags, 0u);
    std::uint32_t immutable = FS_IMMUTABLE_FL;
    EXPECT_EQ(control(file, FS_IOC_SETFLAGS, &immutable), 0);
    EXPECT_EQ(flagged.flags, immutable);
}

CLIENT_TEST(InodeFlags, OfAReadOnlyMountDoNotChange) {
    Flagged flagged(client);
    Fd file(flagged.server.mnt("f"), O_RDONLY);
    ASSERT_EQ(mount(nullptr, flagged.server.mnt().c_str(), nullptr,
                    MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr),
              0);
    std::uint32_t flags = 0;
    EXPECT_EQ(control(file, FS_IOC_SETFLAGS, &flags), EROFS);
    EXPECT_EQ(flagged.server.seen(FUSE_IOCTL), 0u);
    EXPECT_EQ(control(file, FS_IOC_GETFLAGS, &flags), 0);
}

CLIENT_TEST(InodeFlags, ErrorsOfTheServerAreTold) {
    Flagged flagged(client);
    Fd file(flagged.server.mnt("f"), O_RDONLY);
    std::uint32_t flags = 0;
    auto answered = [&](int error) {
        flagged.server.on(FUSE_IOCTL, [&flagged, error](const Request &request) {
            flagged.server.answer_error(request, error);
            return true;
        });
        return control(file, FS_IOC_GETFLAGS, &flags);
    };
    EXPECT_EQ(answered(EPERM), EPERM);
    EXPECT_EQ(answered(ENOTTY), ENOTTY);
    // What no operation of the server's is.
    flagged.server.on(FUSE_IOCTL, [](const Request &) { return false; });
    EXPECT_EQ(control(file, FS_IOC_GETFLAGS, &flags), ENOTTY);
    flagged.server.on(FUSE_OPEN, [&](const Request &request) {
        flagged.server.answer_error(request, EACCES);
        return true;
    });
    EXPECT_EQ(control(file, FS_IOC_GETFLAGS, &flags), EACCES);
}

#ifdef __x86_64__
namespace {

// ioctl(2) as a program of 32 bits calls it. Return: 0 or errno.
int control32(int fd, std::uint32_t command, void *argument) {
    long result;
    asm volatile("int $0x80"
                 : "=a"(result)
                 : "a"(54L), "b"(long(fd)), "c"(long(command)), "d"(argument)
                 : "memory", "r8", "r9", "r10", "r11");
    return -static_cast<int>(result);
}

void needs_programs_of_32_bits() {
    if (slurp("/proc/cpuinfo").find("User Mode Linux") != std::string::npos)
        throw Skip("user-mode Linux has no system calls of 32-bit programs");
    Task task("a system call of 32 bits", [] { return control32(-1, 0, nullptr); });
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    if (task.status() != EBADF)
        throw Skip("this kernel runs no programs of 32 bits");
}

} // namespace

CLIENT_TEST(InodeFlags, AreTheSameToProgramsOf32Bits) {
    needs_programs_of_32_bits();
    Flagged flagged(client);
    Fd file(flagged.server.mnt("f"), O_RDONLY);
    // What it points to has to be where such a program has its memory.
    auto *argument = static_cast<std::uint32_t *>(mmap(
        nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
    ASSERT_NE(argument, MAP_FAILED);
    EXPECT_EQ(control32(file, FS_IOC32_GETFLAGS, argument), 0);
    EXPECT_EQ(argument[0], unsigned(FS_NODUMP_FL));
    EXPECT_EQ(flagged.last.cmd, unsigned(FS_IOC_GETFLAGS));
    EXPECT_EQ(flagged.last.flags & FUSE_IOCTL_COMPAT, 0u) << "it is the kernel that asks";
    argument[0] = FS_SYNC_FL;
    EXPECT_EQ(control32(file, FS_IOC32_SETFLAGS, argument), 0);
    EXPECT_EQ(flagged.flags, unsigned(FS_SYNC_FL));
    // Of any other command the server hears who calls.
    EXPECT_EQ(control32(file, _IOWR('E', 1, std::uint64_t), argument), 0);
    EXPECT_EQ(flagged.last.cmd, unsigned(_IOWR('E', 1, std::uint64_t)));
    EXPECT_EQ(flagged.last.flags, unsigned(FUSE_IOCTL_COMPAT | FUSE_IOCTL_32BIT));
    Fd directory(flagged.server.mnt(), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(control32(directory, _IOWR('E', 1, std::uint64_t), argument), 0);
    EXPECT_EQ(flagged.last.flags, unsigned(FUSE_IOCTL_COMPAT | FUSE_IOCTL_32BIT | FUSE_IOCTL_DIR));
}
#endif

GUEST_TEST(InodeFlagAnswers, ThatCannotBeAreErrors) {
    needs_fusewb();
    Flagged flagged({"fusewb"});
    Fd file(flagged.server.mnt("f"), O_RDONLY);
    std::uint32_t flags = 0;
    auto answered = [&](const fuse_ioctl_out &out, std::size_t bytes) {
        flagged.server.on(FUSE_IOCTL, [&flagged, out, bytes](const Request &request) {
            flagged.server.answer(request, std::string(bytes_of(out)) + std::string(bytes, '\1'));
            return true;
        });
        return control(file, FS_IOC_GETFLAGS, &flags);
    };
    std::uint64_t before = flagged.server.connection()[FUSEWB_A_COUNTER_MALFORMED];
    EXPECT_EQ(answered({0, 0, 0, 0}, 5), EIO) << "more than asked for";
    EXPECT_EQ(answered({0, FUSE_IOCTL_RETRY, 1, 1}, 0), EIO) << "any memory of the caller";
    EXPECT_EQ(answered({-515, 0, 0, 0}, 0), EIO) << "an error of the kernel's own";
    EXPECT_EQ(answered({0, 0, 0, 0}, 3), EIO) << "less than asked for";
    EXPECT_EQ(answered({0, 0, 0, 0}, 0), EIO) << "nothing";
    EXPECT_EQ(flagged.server.connection()[FUSEWB_A_COUNTER_MALFORMED], before + 5);
    EXPECT_EQ(answered({-EPERM, 0, 0, 0}, 0), EPERM);
    EXPECT_EQ(answered({-ENOSYS, 0, 0, 0}, 0), ENOTTY);
}

GUEST_TEST(InodeFlagAnswers, AKillEndsTheWaitForThem) {
    needs_fusewb();
    Flagged flagged({"fusewb"});
    Fd file(flagged.server.mnt("f"), O_RDONLY);
    std::uint64_t own = flagged.last_handle;
    for (bool set : {false, true}) {
        flagged.server.hold(FUSE_IOCTL);
        Task task(set ? "chattr" : "lsattr", [&] {
            std::uint32_t flags = 0;
            return control(file, set ? FS_IOC_SETFLAGS : FS_IOC_GETFLAGS, &flags);
        });
        ASSERT_TRUE(flagged.server.wait_held(FUSE_IOCTL, 1)) << task.where();
        EXPECT_TRUE(task.kill_within(20s)) << task.where();
        flagged.server.lose(FUSE_IOCTL);
    }
    EXPECT_TRUE(wait_until(
        10s, [&] { return flagged.server.seen(FUSE_RELEASE) + own == flagged.last_handle; }));
}
