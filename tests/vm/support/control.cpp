// SPDX-License-Identifier: GPL-2.0-only
#include "support/control.h"

#include <array>
#include <cstdio>
#include <fstream>

#include <sys/wait.h>

#include <gtest/gtest.h>

namespace fusewb::test {

Said say(const std::string &command) {
    Said said;
    FILE *stream = popen((command + " 2>&1").c_str(), "re");
    if (!stream)
        return said;
    std::array<char, 4096> buffer;
    for (std::size_t got = 0; (got = fread(buffer.data(), 1, buffer.size(), stream)) > 0;)
        said.text.append(buffer.data(), got);
    const int status = pclose(stream);
    said.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return said;
}

std::string ctl(const std::string &words) {
    const Said said = say("fusewbctl " + words);
    EXPECT_EQ(said.status, 0) << "fusewbctl " << words << "\n" << said.text;
    return said.text;
}

void expect_has(const std::string &text, const std::string &part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no " << part << " in:\n" << text;
}

std::string quoted(const std::filesystem::path &path) { return "'" + path.string() + "'"; }

std::string value(const std::filesystem::path &mount_point, const std::string &key) {
    const std::string text = ctl("policy explain " + quoted(mount_point));
    const std::size_t line = text.find("\n" + key + " ");
    if (line == std::string::npos)
        return "none";
    const std::size_t begin = text.find_first_not_of(' ', line + 1 + key.size());
    return text.substr(begin, text.find(' ', begin) - begin);
}

std::string value(const Passthrough &server, const std::string &key) {
    return value(server.mnt(), key);
}

Rule::Rule(const std::string &text) {
    std::filesystem::create_directories(path_.parent_path());
    rewrite(text);
}

Rule::~Rule() {
    std::filesystem::remove(path_);
    say("systemctl reload fusewbd");
}

void Rule::rewrite(const std::string &text) const { std::ofstream(path_) << text; }

} // namespace fusewb::test
