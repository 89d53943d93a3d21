// SPDX-License-Identifier: GPL-2.0-only
// The ioctls of fs-verity, whose numbers say less than what goes in and out: a digest has the length
// that the caller has room for, salt and signature are where the struct points.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"

using namespace fusewb::test;

namespace {

void needs_verity(const Client &client) {
    utsname name{};
    check(uname(&name), "uname");
    int major = 0, minor = 0;
    std::sscanf(name.release, "%d.%d", &major, &minor);
    if (!client.ours() && std::pair(major, minor) < std::pair(6, 10))
        throw Skip("in-tree fuse sends the structs alone before Linux 6.10");
}

constexpr std::size_t digest_length = 32;

// A server with a digest of that length, that keeps what it was asked last.
class Sealed {
public:
    explicit Sealed(const Client &client) : server({.type = client.type}) {
        server.set_content("f", "content");
        server.on(FUSE_IOCTL, [this](const Request &request) {
            std::lock_guard lock(mutex_);
            in_ = request.as<fuse_ioctl_in>();
            input_ = request.body.substr(sizeof(in_));
            fuse_ioctl_out out{};
            fsverity_digest digest{FS_VERITY_HASH_ALG_SHA256, digest_length};
            std::string output = std::string(bytes_of(digest)) + std::string(digest_length, 'd');
            if (in_.cmd == FS_IOC_ENABLE_VERITY)
                output.clear();
            else if (in_.out_size < output.size() && !impossible_)
                out.result = -EOVERFLOW;
            if (out.result)
                output.clear();
            server.answer(request, std::string(bytes_of(out)) + output);
            return true;
        });
        file = Fd(server.mnt("f"), O_RDONLY);
    }
    fuse_ioctl_in in() {
        std::lock_guard lock(mutex_);
        return in_;
    }
    std::string input() {
        std::lock_guard lock(mutex_);
        return input_;
    }
    // It answers with more than there is room for.
    void be_impossible() {
        std::lock_guard lock(mutex_);
        impossible_ = true;
    }

    RawServer server;
    Fd file;

private:
    std::mutex mutex_;
    fuse_ioctl_in in_{};
    std::string input_;
    bool impossible_ = false;
};

int control(int fd, unsigned long command, void *argument) {
    return ioctl(fd, command, argument) < 0 ? errno : 0;
}

// The struct with room for so many bytes behind it, all of them 'x'.
std::string room_for(std::uint16_t length) {
    fsverity_digest digest{0, length};
    return std::string(bytes_of(digest)) + std::string(length, 'x');
}

fsverity_enable_arg enable_with(const std::string &salt, const std::string &signature) {
    fsverity_enable_arg argument{};
    argument.version = 1;
    argument.hash_algorithm = FS_VERITY_HASH_ALG_SHA256;
    argument.block_size = 4096;
    argument.salt_size = static_cast<std::uint32_t>(salt.size());
    argument.salt_ptr = reinterpret_cast<std::uintptr_t>(salt.data());
    argument.sig_size = static_cast<std::uint32_t>(signature.size());
    argument.sig_ptr = reinterpret_cast<std::uintptr_t>(signature.data());
    return argument;
}

} // namespace

ON_CLIENTS(Verity, "fusewb", "fuse");

CLIENT_TEST(Verity, ADigestIsAsLongAsTheCallerHasRoomFor) {
    needs_verity(client);
    Sealed sealed(client);
    for (std::uint16_t length : {32, 64, 65535}) {
        SCOPED_TRACE(length);
        std::string room = room_for(length);
        ASSERT_EQ(control(sealed.file, FS_IOC_MEASURE_VERITY, room.data()), 0);
        EXPECT_EQ(sealed.in().in_size, room.size());
        EXPECT_EQ(sealed.in().out_size, room.size());
        EXPECT_EQ(sealed.input(), room_for(length));
        fsverity_digest digest{};
        std::memcpy(&digest, room.data(), sizeof(digest));
        EXPECT_EQ(digest.digest_size, digest_length);
        EXPECT_EQ(digest.digest_algorithm, FS_VERITY_HASH_ALG_SHA256);
        EXPECT_EQ(room.substr(sizeof(digest)),
                  std::string(digest_length, 'd') + std::string(length - digest_length, 'x'));
    }
    for (std::uint16_t length : {0, 31}) {
        std::string room = room_for(length);
        EXPECT_EQ(control(sealed.file, FS_IOC_MEASURE_VERITY, room.data()), EOVERFLOW) << length;
        EXPECT_EQ(room, room_for(length));
    }
    sealed.be_impossible();
    std::string room = room_for(digest_length - 1);
    EXPECT_EQ(control(sealed.file, FS_IOC_MEASURE_VERITY, room.data()), EIO);
    EXPECT_EQ(room, room_for(digest_length - 1));
}

CLIENT_TEST(Verity, RoomForADigestThatTheCallerDoesNotHaveIsAnError) {
    needs_verity(client);
    Sealed sealed(client);
    constexpr std::size_t page = 4096;
    auto *memory = static_cast<char *>(
        mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    ASSERT_EQ(munmap(memory + page, page), 0);
    // The last of it are the struct and a byte.
    std::string room = room_for(1);
    char *argument = memory + page - room.size();
    std::memcpy(argument, room.data(), room.size());
    EXPECT_EQ(control(sealed.file, FS_IOC_MEASURE_VERITY, argument), EOVERFLOW);
    std::size_t asked = sealed.server.seen(FUSE_IOCTL);
    fsverity_digest digest{0, 2};
    std::memcpy(argument, &digest, sizeof(digest));
    EXPECT_EQ(control(sealed.file, FS_IOC_MEASURE_VERITY, argument), EFAULT);
    EXPECT_EQ(control(sealed.file, FS_IOC_MEASURE_VERITY, memory + page - 2), EFAULT);
    EXPECT_EQ(control(sealed.file, FS_IOC_MEASURE_VERITY, nullptr), EFAULT);
    EXPECT_EQ(sealed.server.seen(FUSE_IOCTL), asked);
    EXPECT_EQ(munmap(memory, page), 0);
}

CLIENT_TEST(Verity, SaltAndSignatureGoInBehindTheStruct) {
    needs_verity(client);
    Sealed sealed(client);
    // The longest signature of the kernel's own fs-verity.
    const std::string salts[] = {"", "salt"}, signatures[] = {"", "s", pattern(16128, 1)};
    for (const auto &salt : salts)
        for (const auto &signature : signatures) {
            auto argument = enable_with(salt, signature);
            ASSERT_EQ(control(sealed.file, FS_IOC_ENABLE_VERITY, &argument), 0);
            std::string expected = std::string(bytes_of(argument)) + salt + signature;
            EXPECT_EQ(sealed.in().in_size, expected.size());
            EXPECT_EQ(sealed.in().out_size, 0u);
            EXPECT_EQ(difference(expected, sealed.input()), "");
        }
}

CLIENT_TEST(Verity, ASaltOrSignatureThatCannotBeIsAnError) {
    needs_verity(client);
    Sealed sealed(client);
    auto refused = [&](const fsverity_enable_arg &argument) {
        fsverity_enable_arg copy = argument;
        return control(sealed.file, FS_IOC_ENABLE_VERITY, &copy);
    };
    const std::string salt = "salt", signature = "signature";
    auto argument = enable_with(salt, signature);
    argument.salt_ptr = 0;
    EXPECT_EQ(refused(argument), EFAULT);
    argument = enable_with(salt, signature);
    argument.sig_ptr = UINT64_MAX - 4096;
    EXPECT_EQ(refused(argument), EFAULT);
    for (std::uint32_t size : {(1u << 20) + 1, UINT32_MAX}) {
        argument = enable_with(salt, signature);
        argument.salt_size = size;
        EXPECT_EQ(refused(argument), ENOMEM) << size;
        argument = enable_with(salt, signature);
        argument.sig_size = size;
        EXPECT_EQ(refused(argument), ENOMEM) << size;
        argument.salt_size = size;
        EXPECT_EQ(refused(argument), ENOMEM) << size;
    }
    argument.salt_size = argument.sig_size = 1u << 20;
    EXPECT_EQ(refused(argument), ENOMEM) << "together";
    EXPECT_EQ(control(sealed.file, FS_IOC_ENABLE_VERITY, nullptr), EFAULT);
    EXPECT_EQ(sealed.server.seen(FUSE_IOCTL), 0u);
    // What is not there may be anywhere.
    argument = enable_with("", "");
    argument.salt_ptr = argument.sig_ptr = 1;
    EXPECT_EQ(refused(argument), 0);
}
