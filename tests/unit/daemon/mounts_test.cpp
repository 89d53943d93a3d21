// SPDX-License-Identifier: GPL-2.0-only
#include "proc/mounts.h"

#include <cerrno>
#include <cstdio>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace fusewb {
namespace {

using testing::ElementsAre;

Result<proc::MountPoints> read(std::string text) {
    std::FILE *stream = fmemopen(text.data(), text.size(), "r");
    auto points = proc::readMountinfo(stream, "the test");
    std::fclose(stream);
    return points;
}

TEST(Mountinfo, DevicesHaveTheirMountPointsInOrder) {
    const auto points = read(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "90 22 0:45 / /srv/b rw,relatime shared:40 - fusewb.sshfs host:/ rw,user_id=0,group_id=0\n"
        "91 22 0:45 /sub /srv/a rw,relatime - fusewb.sshfs host:/ rw,user_id=0,group_id=0\n"
        "92 22 0:46 / /srv/c rw - fusewb passthrough_ll rw\n");
    ASSERT_TRUE(points);
    EXPECT_THAT(points->at(makedev(0, 45)), ElementsAre("/srv/b", "/srv/a"));
    EXPECT_THAT(points->at(makedev(0, 46)), ElementsAre("/srv/c"));
    EXPECT_THAT(points->at(makedev(8, 1)), ElementsAre("/"));
    EXPECT_EQ(points->size(), 3U);
}

TEST(Mountinfo, OctalEscapesAreUndone) {
    const auto points = read("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
                             "90 22 0:45 / /srv/a\\040b\\011c\\012d\\134e rw - fusewb x rw\n");
    ASSERT_TRUE(points);
    EXPECT_THAT(points->at(makedev(0, 45)), ElementsAre("/srv/a b\tc\nd\\e"));
}

TEST(Mountinfo, LineThatIsNoneIsPassedOver) {
    const auto points = read("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
                             "not a mount at all\n"
                             "90 22 0:45 / /srv/a rw - fusewb x rw\n"
                             "91 22 0:46\n");
    ASSERT_TRUE(points);
    EXPECT_EQ(points->size(), 2U);
    EXPECT_THAT(points->at(makedev(0, 45)), ElementsAre("/srv/a"));
}

TEST(Mountinfo, OptionalFieldsMayBeMany) {
    const auto points =
        read("90 22 0:45 / /srv/a rw shared:3 master:4 propagate_from:2 - fusewb x rw\n");
    ASSERT_TRUE(points);
    EXPECT_THAT(points->at(makedev(0, 45)), ElementsAre("/srv/a"));
}

TEST(Mountinfo, FileThatIsNotThereIsAFailure) {
    const auto points = proc::readMountinfo("/nonexistent/mountinfo");
    ASSERT_FALSE(points);
    EXPECT_EQ(points.failure().error, ENOENT);
}

TEST(Mountinfo, OwnTableHasProc) {
    const auto points = proc::readMountinfo("/proc/self/mountinfo");
    ASSERT_TRUE(points);
    struct stat status {};
    ASSERT_EQ(stat("/proc", &status), 0);
    ASSERT_TRUE(points->contains(status.st_dev));
    EXPECT_THAT(points->at(status.st_dev), testing::Contains("/proc"));
}

} // namespace
} // namespace fusewb
