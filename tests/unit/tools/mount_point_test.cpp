// SPDX-License-Identifier: GPL-2.0-only
#include "mount/mount_point.h"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace fusewb;
namespace fs = std::filesystem;

namespace {

class MountPointTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "fusewb-test-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = fs::canonical(name);
    }
    void TearDown() override { fs::remove_all(directory_); }

    Request request(const std::string &spec) const {
        return parse_command_line({spec, directory_.string()}).value();
    }

    // A mount table in which `lines` follow the root, each "TYPE SOURCE", mounted on directory_.
    std::string table(const std::vector<std::pair<std::string, std::string>> &lines) const {
        const fs::path path = directory_ / "mountinfo";
        std::ofstream file(path);
        file << "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n";
        int id = 31;
        for (const auto &[type, source] : lines) {
            file << id << " 20 0:" << id << " / " << directory_.string()
                 << " rw,relatime shared:2 - " << type << ' ' << source << " rw\n";
            ++id;
        }
        return path.string();
    }

    Status check(const Request &request, const std::string &mountinfo) const {
        return check_not_mounted(request, MountPoint{directory_.string(), S_IFDIR}, mountinfo);
    }

    fs::path directory_;
};

TEST_F(MountPointTest, TakesDirectoriesAndFilesAndResolvesLinks) {
    std::ofstream(directory_ / "file") << "x";
    fs::create_directory_symlink(directory_, directory_ / "link");
    Result<MountPoint> found = find_mount_point((directory_ / "link").string());
    ASSERT_TRUE(found);
    EXPECT_EQ(found.value().path, directory_.string());
    EXPECT_EQ(found.value().type, static_cast<unsigned>(S_IFDIR));
    found = find_mount_point((directory_ / "file").string());
    ASSERT_TRUE(found);
    EXPECT_EQ(found.value().type, static_cast<unsigned>(S_IFREG));
}

TEST_F(MountPointTest, SaysHowToCreateAMissingOne) {
    const std::string missing = (directory_ / "none").string();
    const Result<MountPoint> found = find_mount_point(missing);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.failure().code, ExitCode::mount_failure);
    EXPECT_EQ(found.failure().line(), "mount.fusewb: mount point " + missing +
                                          " does not exist; create it: mkdir -p " + missing);
}

TEST_F(MountPointTest, RefusesAPipe) {
    const std::string pipe = (directory_ / "pipe").string();
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    const Result<MountPoint> found = find_mount_point(pipe);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.failure().code, ExitCode::mount_failure);
}

TEST_F(MountPointTest, RefusesTheSameFileSystemTwice) {
    const Status status =
        check(request("sshfs#host:/a"), table({{"fusewb.sshfs", "sshfs#host:/a"}}));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.failure().code, ExitCode::mount_failure);
    EXPECT_NE(status.failure().cause.find("already mounted"), std::string::npos);
    EXPECT_NE(status.failure().remedy.find("umount " + directory_.string()), std::string::npos);
}

TEST_F(MountPointTest, CoversOtherMountsAsMountDoes) {
    const Request wanted = request("sshfs#host:/a");
    EXPECT_TRUE(check(wanted, table({})));
    EXPECT_TRUE(check(wanted, table({{"ext4", "/dev/sdb1"}})));
    EXPECT_TRUE(check(wanted, table({{"fusewb.sshfs", "sshfs#host:/b"}})));
    EXPECT_TRUE(check(wanted, table({{"fuse.sshfs", "sshfs#host:/a"}})));
}

TEST_F(MountPointTest, LooksAtTheTopmostMountOnly) {
    EXPECT_TRUE(check(request("sshfs#host:/a"),
                      table({{"fusewb.sshfs", "sshfs#host:/a"}, {"ext4", "/dev/sdb1"}})));
    EXPECT_FALSE(check(request("sshfs#host:/a"),
                       table({{"ext4", "/dev/sdb1"}, {"fusewb.sshfs", "sshfs#host:/a"}})));
}

TEST_F(MountPointTest, FindsASourceWithBlanksInTheTable) {
    EXPECT_FALSE(check(request("srv#a b"), table({{"fusewb.srv", "srv#a\\040b"}})));
}

TEST_F(MountPointTest, SaysWhichNamespaceCannotBeEntered) {
    NamespaceVisit visit;
    const Status status = visit.enter((directory_ / "ns").string());
    ASSERT_FALSE(status);
    EXPECT_EQ(status.failure().code, ExitCode::system);
    EXPECT_NE(status.failure().cause.find((directory_ / "ns").string()), std::string::npos);
}

} // namespace
