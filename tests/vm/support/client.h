// SPDX-License-Identifier: GPL-2.0-only
// Tests that run on several file systems of one kernel: fusewb, the kernel's own fuse with the same
// server, and tmpfs, which says what is right.
#pragma once

#include <memory>
#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "support/guest_test.h"
#include "support/passthrough.h"

namespace fusewb::test {

// A file system type of this kernel.
struct Client {
    const char *type;
    bool ours() const { return std::string(type) == "fusewb"; }
};
inline std::ostream &operator<<(std::ostream &out, const Client &client) {
    return out << client.type;
}

class ClientTest : public testing::TestWithParam<Client> {};

// A directory on the file system of the client: of passthrough_ll, or of tmpfs itself.
class Place {
public:
    explicit Place(const Client &client, Passthrough::Options options = {});

    std::filesystem::path operator()(const std::string &name = {}) const;
    // The same at the server, whatever the client has in its caches.
    std::filesystem::path backing(const std::string &name = {}) const;

private:
    std::filesystem::path directory_; // without a server
    std::unique_ptr<Passthrough> server_;
};

} // namespace fusewb::test

// CLIENT_TEST(suite, name): the body sees the client as `client`.
#define CLIENT_TEST_WITHIN(suite, name, deadline)                                                  \
    static void suite##_##name##_body(const ::fusewb::test::Client &);                             \
    TEST_P(suite, name) {                                                                          \
        ::fusewb::test::run_guest_test([] { suite##_##name##_body(GetParam()); }, deadline);       \
    }                                                                                              \
    static void suite##_##name##_body([[maybe_unused]] const ::fusewb::test::Client &client)

#define CLIENT_TEST(suite, name) CLIENT_TEST_WITHIN(suite, name, std::chrono::seconds(240))

// ON_CLIENTS(suite, type...): declares the suite, whose tests run on each of the types.
#define ON_CLIENTS(suite, ...)                                                                     \
    namespace {                                                                                    \
    class suite : public ::fusewb::test::ClientTest {};                                            \
    }                                                                                              \
    INSTANTIATE_TEST_SUITE_P(Clients, suite, testing::ValuesIn([] {                                \
                                 std::vector<::fusewb::test::Client> clients;                      \
                                 for (const char *type : {__VA_ARGS__})                            \
                                     clients.push_back({type});                                    \
                                 return clients;                                                   \
                             }()),                                                                 \
                             [](const auto &chosen) { return std::string(chosen.param.type); })
