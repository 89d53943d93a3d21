// SPDX-License-Identifier: GPL-2.0-only
#include "mount/mount_options.h"

#include <gtest/gtest.h>

#include <sys/mount.h>

using namespace fusewb;

namespace {

MountOptions sorted(std::string_view text) {
    Result<MountOptions> result = sort_options(split_options(text));
    EXPECT_TRUE(result) << text;
    return result ? result.value() : MountOptions{};
}

Failure refused(std::string_view text) {
    Result<MountOptions> result = sort_options(split_options(text));
    EXPECT_FALSE(result) << text;
    return result ? Failure{ExitCode::success, "", ""} : result.failure();
}

TEST(SplitOptions, TellsNamesWithoutValueFromEmptyValues) {
    const auto options = split_options("ro,password=,port=22");
    ASSERT_EQ(options.size(), 3u);
    EXPECT_EQ(options[0].name, "ro");
    EXPECT_FALSE(options[0].value.has_value());
    EXPECT_EQ(options[1].value, "");
    EXPECT_EQ(options[2].value, "22");
}

TEST(SplitOptions, KeepsAnEscapedCommaInTheValue) {
    const auto options = split_options(R"(a=1\,2,b=\\,c)");
    ASSERT_EQ(options.size(), 3u);
    EXPECT_EQ(options[0].value, "1,2");
    EXPECT_EQ(options[0].raw, R"(a=1\,2)");
    EXPECT_EQ(options[1].value, R"(\)");
    EXPECT_EQ(options[2].name, "c");
}

TEST(SplitOptions, KeepsAQuotedCommaAndDropsTheQuotes) {
    const auto options = split_options(R"(a="1,2",b=x"y,z"w)");
    ASSERT_EQ(options.size(), 2u);
    EXPECT_EQ(options[0].value, "1,2");
    EXPECT_EQ(options[0].raw, R"(a="1,2")");
    EXPECT_EQ(options[1].value, "xy,zw");
}

TEST(SplitOptions, SkipsEmptyPartsAndKeepsASecondEqualsSign) {
    const auto options = split_options(",,a=b=c,,");
    ASSERT_EQ(options.size(), 1u);
    EXPECT_EQ(options[0].name, "a");
    EXPECT_EQ(options[0].value, "b=c");
}

TEST(SplitOptions, ToleratesAnOpenQuoteAndALoneBackslashAtTheEnd) {
    EXPECT_EQ(split_options(R"(a="b,c)").at(0).value, "b,c");
    EXPECT_EQ(split_options("a=b\\").at(0).value, "b\\");
}

TEST(SortOptions, TurnsVfsWordsIntoFlags) {
    const MountOptions options = sorted("nosuid,nodev,noexec,noatime,sync,dirsync,nodiratime");
    EXPECT_EQ(options.vfs_flags,
              static_cast<unsigned long>(MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME |
                                         MS_SYNCHRONOUS | MS_DIRSYNC | MS_NODIRATIME));
    EXPECT_EQ(options.server, "");
    EXPECT_EQ(options.module, "");
}

TEST(SortOptions, LetsTheLastOfTwoContraryWordsWin) {
    EXPECT_EQ(sorted("ro,nosuid,rw,suid").vfs_flags, 0u);
    EXPECT_EQ(sorted("rw,ro").vfs_flags, static_cast<unsigned long>(MS_RDONLY));
}

TEST(SortOptions, TellsTheServerAboutReadOnlyToo) {
    EXPECT_EQ(sorted("ro").server, "ro");
    EXPECT_EQ(sorted("port=22,ro").server, "ro,port=22");
}

TEST(SortOptions, GivesTheModuleItsOptions) {
    const MountOptions options =
        sorted("default_permissions,allow_other,max_read=65536,blksize=512,writeback=direct");
    EXPECT_EQ(options.module,
              "default_permissions,allow_other,max_read=65536,blksize=512,writeback=direct");
    EXPECT_EQ(options.server, "");
}

TEST(SortOptions, LeavesTheWordWritebackToTheServer) {
    const MountOptions options = sorted("writeback,source=/srv/back");
    EXPECT_EQ(options.server, "writeback,source=/srv/back");
    EXPECT_EQ(options.module, "");
}

TEST(SortOptions, RefusesAnUnknownWritebackModeAndNamesTheKnownOnes) {
    const Failure failure = refused("writeback=fast");
    EXPECT_EQ(failure.code, ExitCode::usage);
    EXPECT_EQ(failure.line(), "mount.fusewb: option writeback=fast is no writeback mode; "
                              "use writeback=auto, writeback=direct or writeback=copy");
}

TEST(SortOptions, RefusesSizesThatAreNoNumbers) {
    for (const char *text :
         {"max_read=", "max_read", "max_read=12k", "blksize=-1", "max_read=99999999999"})
        EXPECT_EQ(refused(text).code, ExitCode::usage) << text;
}

TEST(SortOptions, DropsTheWordsOfFstabAndMount) {
    const MountOptions options =
        sorted("defaults,_netdev,nofail,noauto,auto,user,user=ann,users,nouser,owner,group,"
               "comment=mine,x-systemd.automount,X-mount.mkdir,x-gvfs-show");
    EXPECT_EQ(options.server, "");
    EXPECT_EQ(options.module, "");
    EXPECT_EQ(options.vfs_flags, 0u);
}

TEST(SortOptions, PassesTheRestToTheServerInOrderAndAsWritten) {
    EXPECT_EQ(sorted(R"(reconnect,idmap=user,opt=a\,b,noatime,IdentityFile=/k)").server,
              R"(reconnect,idmap=user,opt=a\,b,IdentityFile=/k)");
}

TEST(SortOptions, RewritesQuotesForServersAsLibfuseReadsThem) {
    EXPECT_EQ(sorted(R"(ssh_command="ssh -o a,b -p \ 2")").server,
              R"(ssh_command=ssh -o a\,b -p \\ 2)");
}

TEST(SortOptions, TakesItsOwnOptions) {
    const MountOptions options = sorted("setuid=ann,fsname=photos,subtype=sshfs,port=22");
    EXPECT_EQ(options.setuid, "ann");
    EXPECT_EQ(options.fsname, "photos");
    EXPECT_EQ(options.subtype, "sshfs");
    EXPECT_EQ(options.server, "port=22");
}

TEST(SortOptions, RefusesWhatItCannotHonour) {
    for (const char *text :
         {"drop_privileges", "auto_unmount", "setuid", "setuid=", "fsname=", "fd=3",
          "rootmode=40000", "user_id=0", "group_id=0", "bind", "rprivate"}) {
        const Failure failure = refused(text);
        EXPECT_EQ(failure.code, ExitCode::usage) << text;
        EXPECT_FALSE(failure.remedy.empty()) << text;
    }
}

TEST(SortOptions, AdmitsEveryoneWhereLibfuseNarrowsToRoot) {
    const MountOptions options = sorted("allow_root");
    EXPECT_EQ(options.module, "allow_other");
    EXPECT_EQ(options.server, "allow_root");
}

TEST(SortOptions, IgnoresTheKernelsOwnOptionsOnRemount) {
    const MountOptions options = sorted("rw,user_id=0,group_id=0,remount,ro");
    EXPECT_TRUE(options.remount);
    EXPECT_EQ(options.vfs_flags, static_cast<unsigned long>(MS_REMOUNT | MS_RDONLY));
}

TEST(SortOptions, GivesSecurityLabelsToTheKernelWithTheirQuotes) {
    EXPECT_EQ(sorted(R"(context="system_u:object_r:tmp_t:s0:c127,c456",port=22)").module,
              R"(context="system_u:object_r:tmp_t:s0:c127,c456")");
}

} // namespace
