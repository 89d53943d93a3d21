// SPDX-License-Identifier: GPL-2.0-only
#include "support/promise.h"

#include <iostream>

#include <sys/sysmacros.h>

#include "support/files.h"
#include "support/task.h"

namespace fusewb::test {

void outcome(const Client &client, unsigned promise, const std::string &scenario, bool holds,
             const std::string &text) {
    std::cout << "[ PROMISE  ] " << promise << " | " << scenario << " | " << client.type << " | "
              << (holds ? "holds" : "broken") << " | " << text << std::endl;
    if (client.ours()) {
        EXPECT_TRUE(holds) << scenario << ": " << text;
    }
}

std::chrono::milliseconds patience(const Client &client) {
    return client.ours() ? std::chrono::milliseconds(30s) : std::chrono::milliseconds(5s);
}

bool ends_while_stopped(Passthrough &server, const Client &client, const char *what,
                        std::function<int()> work) {
    Task task(what, std::move(work));
    bool ended = task.returns_within(patience(client));
    std::string where = ended ? "" : task.where();
    server.cont();
    EXPECT_TRUE(task.ends_within(60s)) << task.where();
    if (!ended && client.ours())
        std::cout << where << std::endl;
    return ended;
}

void lift_dirty_limit(const std::filesystem::path &mount_point) {
    dev_t dev = mounted_dev(mount_point);
    auto bdi = std::filesystem::path("/sys/class/bdi") /
               (std::to_string(major(dev)) + ":" + std::to_string(minor(dev)));
    write_setting(bdi / "max_ratio", "100");
    // Not on every kernel.
    write_setting(bdi / "strict_limit", "0");
}

} // namespace fusewb::test
