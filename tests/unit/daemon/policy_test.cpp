// SPDX-License-Identifier: GPL-2.0-only
// Settings, rules, rule files, and what comes of them.
#include "policy/decision.h"
#include "policy/rule_set.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace fusewb::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct FakeAccounts final : Accounts {
    std::optional<uid_t> user(const std::string &name) const override {
        return name == "alice" ? std::optional<uid_t>(1000) : std::nullopt;
    }
    std::optional<gid_t> group(const std::string &name) const override {
        return name == "staff" ? std::optional<gid_t>(50) : std::nullopt;
    }
};

const FakeAccounts accounts;

std::variant<Rule, std::vector<RuleError>> parse(std::string_view text) {
    return parseRule("10-test.conf", "/x/10-test.conf", text, accounts);
}

Rule rule(std::string_view text) {
    auto parsed = parse(text);
    if (auto *errors = std::get_if<std::vector<RuleError>>(&parsed)) {
        ADD_FAILURE() << errors->front().text();
        return {};
    }
    return std::get<Rule>(std::move(parsed));
}

std::vector<std::string> errors(std::string_view text) {
    std::vector<std::string> texts;
    const auto parsed = parse(text);
    if (const auto *found = std::get_if<std::vector<RuleError>>(&parsed))
        for (const RuleError &error : *found)
            texts.push_back(error.text());
    return texts;
}

Subject sshfs() {
    Subject subject;
    subject.executable = "/usr/bin/sshfs";
    subject.user = 1000;
    subject.group = 50;
    subject.unit = "user@1000.service";
    subject.subtype = "sshfs";
    subject.mountPoints = {"/home/alice/far", "/mnt/far"};
    return subject;
}

TEST(Settings, HaveNamesOfTheirOwn) {
    for (const Description &description : settings()) {
        EXPECT_EQ(findByKey(description.key)->setting, description.setting);
        EXPECT_EQ(findByProperty(description.property)->setting, description.setting);
        EXPECT_EQ(&describe(description.setting), &description);
    }
    EXPECT_EQ(findByKey("writeback"), nullptr);
    EXPECT_EQ(findByProperty(""), nullptr);
}

TEST(Settings, LargestValueIsWrittenAsItWouldBeRead) {
    for (const Description &description : settings()) {
        const std::string text = formatValue(description, description.maximum);
        const auto again = parseValue(description, text);
        ASSERT_TRUE(again) << text << ": " << again.failure().what;
        EXPECT_EQ(*again, description.maximum) << description.key;
    }
}

TEST(Settings, ValueThatCannotBeIsRefusedWithWhatWouldBeRight) {
    const auto reason = [](Setting setting, const char *text) {
        const auto value = parseValue(describe(setting), text);
        return value ? "it was taken" : value.failure().what;
    };
    EXPECT_EQ(reason(Setting::Writeback, "Direct"), "\"Direct\" is not copy or direct");
    EXPECT_EQ(reason(Setting::DeadlineAction, "kill"), "\"kill\" is not report, fail or abort");
    EXPECT_EQ(reason(Setting::Retry, "10us"), "10us is not a number of whole milliseconds");
    EXPECT_EQ(reason(Setting::ReadDeadline, "8w"), "8w is more than 7w 17h 2min 47s 295ms");
    EXPECT_EQ(reason(Setting::MaxDirtyRatio, "101"), "101% is more than 100%");
    EXPECT_EQ(reason(Setting::MaxDirtyRatio, "0"), "0% is less than 1%");
    EXPECT_EQ(reason(Setting::SyncWaits, "perhaps"), "\"perhaps\" is neither yes nor no");
    EXPECT_EQ(reason(Setting::MaxWriteSize, "4G"), "4G is more than 4294967295");
    EXPECT_EQ(reason(Setting::MaxWriteSize, "4095"), "4095 is neither 0 nor 4K or more");
    EXPECT_EQ(reason(Setting::MaxWriteSize, "4K"), "it was taken");
    EXPECT_EQ(reason(Setting::MaxWriteSize, "0"), "it was taken");
}

TEST(Settings, InfiniteDeadlineIsNone) {
    EXPECT_EQ(*parseValue(describe(Setting::ReadDeadline), "infinity"), 0U);
    EXPECT_EQ(*parseValue(describe(Setting::ReadDeadline), "0"), 0U);
    EXPECT_EQ(formatValue(describe(Setting::ReadDeadline), 0), "infinity");
}

TEST(RuleFile, HasMatchAndPolicy) {
    const Rule parsed = rule("# a comment\n"
                             "; another\n"
                             "\n"
                             "[Match]\n"
                             "Executable=/usr/bin/sshfs\n"
                             "Executable = /usr/local/bin/sshfs\n"
                             "User=alice\n"
                             "User=0\n"
                             "Group=nosuchgroup\n"
                             "MountPoint=/srv/*\r\n"
                             "[Policy]\n"
                             "Writeback=direct\n"
                             "WritebackDeadlineSec=1min 30s\n"
                             "MaxDirtyRatio=5%\n"
                             "MaxWriteSize=4M\n"
                             "StrictLimit=no");
    EXPECT_EQ(parsed.name, "10-test.conf");
    ASSERT_EQ(parsed.patterns(Criterion::Executable).size(), 2U);
    EXPECT_EQ(parsed.patterns(Criterion::Executable)[1].text, "/usr/local/bin/sshfs");
    ASSERT_EQ(parsed.patterns(Criterion::User).size(), 2U);
    EXPECT_EQ(parsed.patterns(Criterion::User)[0].id, 1000U);
    EXPECT_EQ(parsed.patterns(Criterion::User)[1].id, 0U);
    EXPECT_EQ(parsed.patterns(Criterion::Group)[0].id, std::nullopt);
    EXPECT_EQ(parsed.patterns(Criterion::MountPoint)[0].text, "/srv/*");
    EXPECT_EQ(parsed.values.get(Setting::Writeback), 1U);
    EXPECT_EQ(parsed.values.get(Setting::WritebackDeadline), 90'000'000U);
    EXPECT_EQ(parsed.values.get(Setting::MaxDirtyRatio), 5U);
    EXPECT_EQ(parsed.values.get(Setting::MaxWriteSize), 4U << 20);
    EXPECT_EQ(parsed.values.get(Setting::StrictLimit), 0U);
    EXPECT_EQ(parsed.values.get(Setting::SyncWaits), std::nullopt);
}

TEST(RuleFile, IsWrittenAsItWouldBeRead) {
    const std::string text = "[Match]\nExecutable=/usr/bin/*fs\nExecutable=/opt/a b\nUser=alice\n"
                             "User=nobody here\nMountPoint=/mnt/[!x]\n"
                             "[Policy]\nWriteback=direct\nWritebackDeadlineSec=1min 30s\n"
                             "ReadDeadlineSec=infinity\nMaxDirtyRatio=5%\nMaxWriteSize=4M\n";
    EXPECT_EQ(formatRule(rule(text)), text);
    EXPECT_EQ(formatRule(rule("# all\n[Policy]\nSyncWaits=1\n[Match]\n")),
              "[Policy]\nSyncWaits=yes\n");
}

TEST(RuleFile, EveryErrorIsToldWithItsLine) {
    EXPECT_THAT(errors("[Match]\n"
                       "Executeable=/usr/bin/sshfs\n"
                       "Writeback=direct\n"
                       "[Policy]\n"
                       "Writeback=fast\n"
                       "Unit=x\n"),
                ElementsAre("/x/10-test.conf:2: \"Executeable\" is no key of [Match]",
                            "/x/10-test.conf:3: \"Writeback\" is no key of [Match]; it belongs "
                            "into [Policy]",
                            "/x/10-test.conf:5: Writeback: \"fast\" is not copy or direct",
                            "/x/10-test.conf:6: \"Unit\" is no key of [Policy]; it belongs into "
                            "[Match]"));
}

struct Wrong {
    const char *text;
    const char *reason;
};

class WrongRuleTest : public testing::TestWithParam<Wrong> {};

TEST_P(WrongRuleTest, IsRefused) {
    EXPECT_THAT(errors(GetParam().text), testing::Contains(HasSubstr(GetParam().reason)));
}

INSTANTIATE_TEST_SUITE_P(
    Files, WrongRuleTest,
    testing::Values(
        Wrong{"", "decides nothing"}, Wrong{"[Policy]\n", "decides nothing"},
        Wrong{"[Match]\nUser=0\n", "conf: the rule decides nothing"},
        Wrong{"Writeback=direct\n", ":1: the key is before the first [Section]"},
        Wrong{"[policy]\nWriteback=direct\n", ":1: \"[policy]\" is neither"},
        Wrong{"[policy]\nWriteback=direct\n", ":2: the key is in no section that is known"},
        Wrong{"[Policy\nWriteback=direct\n", ":1: \"[Policy\" is neither"},
        Wrong{"[Policy]x\nWriteback=direct\n", ":1: \"[Policy]x\" is neither"},
        Wrong{"[Policy]\nWriteback=copy\n[Policy]\n", ":3: there is a second [Policy]"},
        Wrong{"[Policy]\nWriteback=copy\nWriteback=copy\n", ":3: Writeback is given twice"},
        Wrong{"[Policy]\nWriteback: copy\n", ":2: \"Writeback: copy\" is not Key=Value"},
        Wrong{"[Policy]\nWriteback\n", ":2: \"Writeback\" is not Key=Value"},
        Wrong{"[Policy]\n=copy\n", ":2: \"=copy\" is not Key=Value"},
        Wrong{"[Policy]\nWriteback=copy\n  SyncWaits=no\n", ":3: the line is indented"},
        Wrong{"[Policy]\nWriteback=copy \\\n", ":2: a line cannot be continued"},
        Wrong{"[Policy]\nWriteback=copy ; safe\n", ":2: a comment has to be on a line"},
        Wrong{"[Policy]\nWriteback=co\x01py\n", ":2: the line has a control character"},
        Wrong{"[Match]\nUser=\n[Policy]\nWriteback=copy\n", ":2: User has no value"},
        Wrong{"[Match]\nExecutable=sshfs\n[Policy]\nWriteback=copy\n",
              ":2: Executable: \"sshfs\" is not an absolute path"},
        Wrong{"[Match]\nMountPoint=mnt\n[Policy]\nWriteback=copy\n", "not an absolute path"},
        Wrong{"[Match]\nMountPoint=*/mnt\n[Policy]\nWriteback=copy\n",
              ":2: MountPoint: \"*/mnt\" is not an absolute path"},
        Wrong{"[Match]\nExecutable=*/sshfs\n[Policy]\nWriteback=copy\n",
              "it begins with a slash, and * stops at one"},
        Wrong{"[Policy]\nMaxWriteSize=1K\n", ":2: MaxWriteSize: 1K is neither 0 nor 4K or more"},
        Wrong{"[Policy]\nRetrySec=\n", ":2: RetrySec: the time span is empty"}));

TEST(RuleFile, LineThatIsTooLongIsRefusedWhole) {
    const std::string text = "[Match]\nMountPoint=/" + std::string(187, 'x') +
                             "\nSubtype=a\n[Policy]\nWriteback=direct\n";
    EXPECT_THAT(errors(text), ElementsAre(HasSubstr(":2: the line is longer than 198 bytes")));
    // One byte less is no error, and is not cut.
    const Rule parsed =
        rule("[Match]\nMountPoint=/" + std::string(186, 'x') + "\n[Policy]\nWriteback=direct\n");
    EXPECT_EQ(parsed.patterns(Criterion::MountPoint)[0].text.size(), 187U);
}

TEST(RuleFile, NulByteIsRefused) {
    EXPECT_THAT(errors(std::string_view("[Policy]\nWriteback=copy\0x\n", 26)),
                testing::Contains(HasSubstr("control character")));
}

TEST(RuleMatch, EveryCriterionMustMatchByAnyOfItsPatterns) {
    const Rule parsed = rule("[Match]\nExecutable=/usr/bin/rclone\nExecutable=/usr/bin/ssh*\n"
                             "User=alice\nGroup=staff\nUnit=user@*.service\nSubtype=sshfs\n"
                             "MountPoint=/mnt/*\n[Policy]\nWriteback=direct\n");
    EXPECT_EQ(mismatch(parsed, sshfs()), std::nullopt);

    const auto without = [&parsed](void (*change)(Subject &)) {
        Subject subject = sshfs();
        change(subject);
        return mismatch(parsed, subject).value_or("it matches");
    };
    EXPECT_EQ(without([](Subject &s) { s.executable = "/usr/bin/sub/sshfs"; }),
              "Executable is /usr/bin/sub/sshfs, not /usr/bin/rclone or /usr/bin/ssh*");
    EXPECT_EQ(without([](Subject &s) { s.executable.clear(); }),
              "Executable is not known, /usr/bin/rclone or /usr/bin/ssh* is asked for");
    EXPECT_EQ(without([](Subject &s) { s.executableDoubt = "the file was replaced"; }),
              "Executable is said to be /usr/bin/sshfs, but the file was replaced");
    EXPECT_EQ(without([](Subject &s) { s.user = 1001; }), "User is 1001, not alice");
    EXPECT_EQ(without([](Subject &s) { s.user.reset(); }), "User is not known, alice is asked for");
    EXPECT_EQ(without([](Subject &s) { s.group = 0; }), "Group is 0, not staff");
    EXPECT_EQ(without([](Subject &s) { s.unit = "ssh.service"; }),
              "Unit is ssh.service, not user@*.service");
    EXPECT_EQ(without([](Subject &s) { s.subtype.clear(); }),
              "Subtype is not known, sshfs is asked for");
    EXPECT_EQ(without([](Subject &s) {
                  s.mountPoints = {"/mnt/a/b", "/x"};
              }),
              "MountPoint is /mnt/a/b and /x, not /mnt/*");
    EXPECT_EQ(without([](Subject &s) { s.mountPoints.clear(); }),
              "it is not mounted where the daemon sees it, /mnt/* is asked for");
}

TEST(RuleMatch, AccountThatIsNotThereMatchesNobody) {
    const Rule parsed = rule("[Match]\nUser=nobodyhere\n[Policy]\nWriteback=direct\n");
    EXPECT_EQ(mismatch(parsed, sshfs()),
              "User is 1000, not nobodyhere; there is no nobodyhere on this machine");
}

TEST(RuleMatch, RuleWithoutPatternsIsForEverything) {
    EXPECT_EQ(mismatch(rule("[Policy]\nWriteback=copy\n"), Subject()), std::nullopt);
}

TEST(Decision, FirstRuleThatMatchesDecides) {
    std::vector<Rule> rules{rule("[Match]\nSubtype=ntfs\n[Policy]\nWriteback=copy\n"),
                            rule("[Match]\nSubtype=sshfs\n[Policy]\nWriteback=direct\n"),
                            rule("[Policy]\nWriteback=copy\n")};
    rules[0].name = "10-a.conf";
    rules[1].name = "20-b.conf";
    rules[2].name = "30-c.conf";
    const Decision decision = decide(rules, sshfs());
    EXPECT_EQ(decision.rule, &rules[1]);
    ASSERT_EQ(decision.verdicts.size(), 3U);
    EXPECT_EQ(decision.verdicts[0].reason, "Subtype is sshfs, not ntfs");
    EXPECT_TRUE(decision.verdicts[1].matches);
    EXPECT_EQ(decision.verdicts[2].reason, "not asked, since 20-b.conf decides");
    EXPECT_EQ(decide({}, sshfs()).rule, nullptr);
}

TEST(Merge, LaterLayersHideEarlierOnesValueByValue) {
    Layer base{{Origin::Default, ""}, {}};
    base.values.set(Setting::Writeback, 0);
    base.values.set(Setting::ReadDeadline, 0);
    base.values.set(Setting::SyncWaits, 0);
    Layer byRule{{Origin::Rule, "20-b.conf"}, {}};
    byRule.values.set(Setting::Writeback, 1);
    byRule.values.set(Setting::ReadDeadline, 5'000'000);
    Layer byHand{{Origin::Set, ""}, {}};
    byHand.values.set(Setting::ReadDeadline, 7'000'000);
    const Effective effective = merge(std::vector<Layer>{base, byRule, byHand});
    EXPECT_EQ(effective.values.get(Setting::Writeback), 1U);
    EXPECT_EQ(effective.source(Setting::Writeback), (Source{Origin::Rule, "20-b.conf"}));
    EXPECT_EQ(effective.values.get(Setting::ReadDeadline), 7'000'000U);
    EXPECT_EQ(effective.source(Setting::ReadDeadline).origin, Origin::Set);
    EXPECT_EQ(effective.source(Setting::SyncWaits).origin, Origin::Default);
    EXPECT_EQ(effective.values.get(Setting::Retry), std::nullopt);
}

class RuleSetTest : public testing::Test {
protected:
    RuleSetTest() {
        std::string name = (std::filesystem::temp_directory_path() / "fusewb-rules-XXXXXX");
        root = mkdtemp(name.data());
        for (const char *directory : {"etc", "run", "usr"})
            std::filesystem::create_directory(root / directory);
    }
    ~RuleSetTest() override { std::filesystem::remove_all(root); }

    void write(const char *file, const char *text) { std::ofstream(root / file) << text; }

    RuleSet read() {
        return readRules({root / "etc", root / "run", root / "usr", root / "none"}, accounts);
    }

    std::filesystem::path root;
};

std::vector<std::string> names(const RuleSet &set) {
    std::vector<std::string> all;
    for (const Rule &one : set.rules)
        all.push_back(one.name);
    return all;
}

constexpr const char *direct = "[Policy]\nWriteback=direct\n";

TEST_F(RuleSetTest, FilesOfAllDirectoriesAreOneOrderOfNames) {
    write("usr/50-b.conf", direct);
    write("etc/60-c.conf", direct);
    write("run/10-a.conf", direct);
    write("etc/README", "not a rule");
    write("etc/.hidden.conf", "not a rule");
    const RuleSet set = read();
    EXPECT_THAT(names(set), ElementsAre("10-a.conf", "50-b.conf", "60-c.conf"));
    EXPECT_THAT(set.errors, IsEmpty());
}

TEST_F(RuleSetTest, FileHidesThoseOfItsNameInLesserDirectories) {
    write("usr/50-b.conf", "[Policy]\nWriteback=nonsense\n");
    write("run/50-b.conf", "[Policy]\nWriteback=copy\n");
    write("etc/50-b.conf", direct);
    const RuleSet set = read();
    ASSERT_THAT(names(set), ElementsAre("50-b.conf"));
    EXPECT_EQ(set.rules[0].path, root / "etc/50-b.conf");
    EXPECT_EQ(set.rules[0].values.get(Setting::Writeback), 1U);
    EXPECT_THAT(set.errors, IsEmpty());
}

TEST_F(RuleSetTest, EmptyFileAndLinkToNullLeaveAGap) {
    write("usr/50-b.conf", direct);
    write("usr/60-c.conf", direct);
    write("etc/50-b.conf", "");
    std::filesystem::create_symlink("/dev/null", root / "etc/60-c.conf");
    const RuleSet set = read();
    EXPECT_THAT(names(set), IsEmpty());
    EXPECT_THAT(set.errors, IsEmpty());
}

TEST_F(RuleSetTest, FileWithAnErrorIsNoRuleAndTheOthersAre) {
    write("etc/50-b.conf", "[Policy]\nWriteback=nonsense\n");
    write("etc/60-c.conf", direct);
    const RuleSet set = read();
    EXPECT_THAT(names(set), ElementsAre("60-c.conf"));
    ASSERT_EQ(set.errors.size(), 1U);
    EXPECT_EQ(set.errors[0].line, 2U);
}

TEST_F(RuleSetTest, WhatIsNoFileOrTooLargeIsAnError) {
    std::filesystem::create_directory(root / "etc/10-dir.conf");
    mkfifo((root / "etc/20-fifo.conf").c_str(), 0600);
    write("etc/30-large.conf", std::string(70'000, '#').c_str());
    std::filesystem::create_symlink("nowhere", root / "etc/40-dangling.conf");
    const RuleSet set = read();
    ASSERT_EQ(set.errors.size(), 4U);
    EXPECT_THAT(set.errors[0].text(), HasSubstr("10-dir.conf: the file"));
    EXPECT_THAT(set.errors[1].text(), HasSubstr("20-fifo.conf: the file is not a file"));
    EXPECT_THAT(set.errors[2].text(), HasSubstr("30-large.conf: the file is larger than"));
    EXPECT_THAT(set.errors[3].text(), HasSubstr("40-dangling.conf: cannot be opened"));
}

TEST_F(RuleSetTest, OneFileIsReadByItself) {
    write("mine", "[Policy]\nWriteback=direct\n");
    EXPECT_THAT(names(readRuleFile(root / "mine", accounts)), ElementsAre("mine"));
    write("mine", "");
    EXPECT_THAT(readRuleFile(root / "mine", accounts).errors, testing::SizeIs(1));
}

TEST(ShippedRules, HaveNoError) {
    const RuleSet set = readRules({FUSEWB_SHIPPED_RULES}, accounts);
    EXPECT_GE(set.rules.size(), 5U);
    for (const RuleError &error : set.errors)
        ADD_FAILURE() << error.text();
}

} // namespace
} // namespace fusewb::policy
