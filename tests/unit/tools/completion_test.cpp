// SPDX-License-Identifier: GPL-2.0-only
// The completions as a shell runs them, with a fusewbctl that knows two mount points.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>

namespace {

using testing::HasSubstr;
using testing::Not;

class CompletionTest : public testing::Test {
protected:
    CompletionTest() {
        std::string name = std::filesystem::temp_directory_path() / "fusewb-completion-XXXXXX";
        directory_ = mkdtemp(name.data());
        const std::filesystem::path program = directory_ / "fusewbctl";
        std::ofstream(program) << "#!/bin/sh\n"
                                  "cat <<'END'\n"
                                  "[\n"
                                  "  {\n"
                                  "    \"MountPoints\": [\n"
                                  "      \"/mnt/one\",\n"
                                  "      \"/srv/two\"\n"
                                  "    ]\n"
                                  "  }\n"
                                  "]\n"
                                  "END\n";
        std::filesystem::permissions(program, std::filesystem::perms(0755));
    }
    ~CompletionTest() override { std::filesystem::remove_all(directory_); }

    // What a script of that shell prints.
    std::string run(const std::string &shell, const std::string &script) {
        const std::filesystem::path file = directory_ / "script";
        std::ofstream(file) << script;
        const std::string command =
            "PATH=" + directory_.string() + ":$PATH " + shell + " " + file.string() + " 2>&1";
        FILE *stream = popen(command.c_str(), "re");
        EXPECT_NE(stream, nullptr);
        std::string text;
        std::array<char, 4096> buffer;
        for (std::size_t got = 0; (got = fread(buffer.data(), 1, buffer.size(), stream)) > 0;)
            text.append(buffer.data(), got);
        EXPECT_EQ(pclose(stream), 0) << text;
        return text;
    }

    // What bash offers for the last of the words.
    std::string bash(const std::string &words) {
        return run("bash", "set -eu\n"
                           "source " FUSEWB_COMPLETIONS "/fusewbctl.bash\n"
                           "complete -p fusewbctl >/dev/null\n"
                           "COMP_WORDS=(fusewbctl " +
                               words +
                               ")\n"
                               "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
                               "compopt() { :; }\n" // which works within a completion alone
                               "_fusewbctl\n"
                               "echo \"${COMPREPLY[*]}\"\n");
    }

    // What a line of zsh becomes with a tab behind it. The shell sits on a terminal of its own, for
    // completions work nowhere else.
    std::string zsh(const std::string &line) {
        return run(
            "zsh -f",
            "zmodload zsh/zpty\n"
            "zpty shell zsh -f -i\n"
            "zpty -w shell 'PS1=; unsetopt zle_bracketed_paste prompt_sp; stty cols 200'\n"
            "zpty -w shell 'fpath=(" FUSEWB_COMPLETIONS
            " $fpath); autoload -Uz compinit; compinit -u -D; echo load\"\"ed'\n"
            "zpty -r -m shell said '*loaded*' || exit 1\n"
            // What the line became is printed instead of being run.
            "zpty -w shell 'shown() { print -r -- \"<$BUFFER>\"; BUFFER=; zle accept-line }; "
            "zle -N shown; bindkey \"^X\" shown; echo bo\"\"und'\n"
            "zpty -r -m shell said '*bound*' || exit 1\n"
            "zpty -w -n shell '" +
                line +
                "'$'\\t\\x18'\n"
                "zpty -r -m shell said '*<*>*' || exit 1\n"
                "print -r -- \"<${${said##*<}%%>*}>\"\n");
    }

    std::filesystem::path directory_;
};

TEST_F(CompletionTest, BashCompletesVerbsMountPointsAndValues) {
    EXPECT_EQ(bash("po"), "policy\n");
    EXPECT_THAT(bash("''"), HasSubstr("list status set abort policy monitor top doctor"));
    EXPECT_EQ(bash("policy re"), "reload\n");
    EXPECT_EQ(bash("status ''"), "/mnt/one /srv/two\n");
    EXPECT_EQ(bash("policy explain /srv"), "/srv/two\n");
    EXPECT_EQ(bash("--json set /mnt"), "/mnt/one\n");
    EXPECT_EQ(bash("set /mnt/one SyncW"), "SyncWaits=\n");
    EXPECT_EQ(bash("lost ''"), "\n");
}

TEST_F(CompletionTest, ZshCompletesVerbsMountPointsAndValues) {
    if (std::system("command -v zsh >/dev/null") != 0)
        GTEST_SKIP() << "zsh is not installed";
    EXPECT_EQ(zsh("fusewbctl po"), "<fusewbctl policy >\n");
    EXPECT_EQ(zsh("fusewbctl policy re"), "<fusewbctl policy reload >\n");
    EXPECT_EQ(zsh("fusewbctl status /m"), "<fusewbctl status /mnt/one >\n");
    EXPECT_EQ(zsh("fusewbctl set /mnt/one SyncW"), "<fusewbctl set /mnt/one SyncWaits=>\n");
}

} // namespace
