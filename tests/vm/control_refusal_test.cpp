// SPDX-License-Identifier: GPL-2.0-only
// What a user without rights must not get done: each method and each property that can be written,
// as the running objects have them, so that a new one is among them.
#include <memory>
#include <regex>
#include <set>

#include <unistd.h>

#include <systemd/sd-bus.h>

#include "support/control.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

constexpr const char *properties = "org.freedesktop.DBus.Properties";

// What everybody may ask; and Unmount, which asks the mount itself whose it is.
const std::set<std::string> open_to_all{"ListConnections",
                                        "FindConnectionByMountPoint",
                                        "FindConnectionByServerPid",
                                        "ListRules",
                                        "Explain",
                                        "ListRequests",
                                        "Unmount"};

struct Unref {
    void operator()(sd_bus *bus) const { sd_bus_flush_close_unref(bus); }
    void operator()(sd_bus_message *message) const { sd_bus_message_unref(message); }
};

// One of each type that the interfaces take; it is looked at after the caller only.
int append_any(sd_bus_message *message, const std::string &types) {
    for (std::size_t i = 0; i < types.size(); ++i) {
        int error = 0;
        switch (types[i]) {
        case 'a': {
            const std::size_t end = types[i + 1] == '{' ? types.find('}', i) : i + 1;
            error =
                sd_bus_message_open_container(message, 'a', types.substr(i + 1, end - i).c_str());
            if (error >= 0)
                error = sd_bus_message_close_container(message);
            i = end;
            break;
        }
        case 's':
            error = sd_bus_message_append(message, "s", "copy");
            break;
        case 'o':
            error = sd_bus_message_append(message, "o", "/");
            break;
        case 'h':
            error = sd_bus_message_append(message, "h", STDERR_FILENO);
            break;
        case 't':
            error = sd_bus_message_append(message, "t", std::uint64_t{1000});
            break;
        default: // of 32 bits
            error = sd_bus_message_append(message, types.substr(i, 1).c_str(), 1);
        }
        if (error < 0)
            return error;
    }
    return 0;
}

class Caller {
public:
    Caller() {
        sd_bus *bus = nullptr;
        check(sd_bus_open_system(&bus) < 0 ? -1 : 0, "the system bus");
        bus_.reset(bus);
    }

    // The name of the error; empty if there was none. What comes back is in *text, if it is one.
    std::string call(const std::string &path, const std::string &interface,
                     const std::string &method, const std::function<int(sd_bus_message *)> &append,
                     std::string *text = nullptr) {
        sd_bus_message *made = nullptr;
        check(sd_bus_message_new_method_call(bus_.get(), &made, "org.fusewb", path.c_str(),
                                             interface.c_str(), method.c_str()) < 0
                  ? -1
                  : 0,
              "a message");
        const std::unique_ptr<sd_bus_message, Unref> message(made);
        check(append(made) < 0 ? -1 : 0, "the arguments of " + method);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *answer = nullptr;
        std::string name;
        if (sd_bus_call(bus_.get(), made, 60'000'000, &error, &answer) < 0)
            name = error.name ? error.name : "none";
        sd_bus_error_free(&error);
        const std::unique_ptr<sd_bus_message, Unref> kept(answer);
        const char *said = nullptr;
        if (text && answer && sd_bus_message_read(answer, "s", &said) > 0)
            *text = said;
        return name;
    }

private:
    std::unique_ptr<sd_bus, Unref> bus_;
};

bool refused(const std::string &error) {
    return error == "org.freedesktop.DBus.Error.AccessDenied" ||
           error == "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
}

// Tries every member of the interface.
// Return: how many were refused.
int try_all(const std::string &path, const std::string &interface) {
    Caller caller;
    std::string xml;
    EXPECT_EQ(caller.call(
                  path, "org.freedesktop.DBus.Introspectable", "Introspect",
                  [](sd_bus_message *) { return 0; }, &xml),
              "");
    xml = xml.substr(std::min(xml.find("<interface name=\"" + interface + "\""), xml.size()));
    xml = xml.substr(0, xml.find("</interface>"));
    int count = 0;
    const std::regex member("<(method|property) name=\"(\\w+)\"([^>]*)>");
    const std::regex argument("<arg [^>]*type=\"([^\"]+)\"[^>]* direction=\"in\"");
    const std::regex type("type=\"([^\"]+)\"");
    for (std::sregex_iterator found(xml.begin(), xml.end(), member), end; found != end; ++found) {
        const std::string name = (*found)[2];
        const std::string rest = (*found)[3];
        std::string types;
        if ((*found)[1] == "method") {
            const std::string tail = found->suffix();
            const std::string arguments =
                rest.ends_with('/') ? "" : tail.substr(0, tail.find("</method>"));
            for (std::sregex_iterator each(arguments.begin(), arguments.end(), argument), last;
                 each != last; ++each)
                types += (*each)[1];
            const std::string error =
                caller.call(path, interface, name,
                            [&](sd_bus_message *message) { return append_any(message, types); });
            if (open_to_all.contains(name))
                continue;
            EXPECT_TRUE(refused(error)) << name << "(" << types << "): " << error;
        } else {
            if (rest.find("\"readwrite\"") == std::string::npos)
                continue;
            std::smatch of;
            EXPECT_TRUE(std::regex_search(rest, of, type)) << rest;
            types = of[1];
            const std::string error =
                caller.call(path, properties, "Set", [&](sd_bus_message *message) {
                    int done =
                        sd_bus_message_append(message, "ss", interface.c_str(), name.c_str());
                    if (done >= 0)
                        done = sd_bus_message_open_container(message, 'v', types.c_str());
                    if (done >= 0)
                        done = append_any(message, types);
                    return done < 0 ? done : sd_bus_message_close_container(message);
                });
            EXPECT_TRUE(refused(error)) << name << ": " << error;
        }
        ++count;
    }
    return count;
}

} // namespace

GUEST_TEST(ControlPlane, UserWithoutRightsIsRefusedEveryMethodAndProperty) {
    needs_daemon();
    Passthrough server;
    const std::string path = "/org/fusewb/connection/" + std::to_string(server.connection().id);
    const auto policy = server.connection().policy;
    const auto defaults = Netlink().defaults();
    Task nobody("user without rights", [&] {
        become_nobody();
        EXPECT_GE(try_all("/org/fusewb", "org.fusewb1.Manager"), 5);
        EXPECT_GE(try_all(path, "org.fusewb1.Connection"), 18);
        return testing::Test::HasFailure() ? 1 : 0;
    });
    ASSERT_TRUE(nobody.ends_within(120s)) << nobody.where();
    EXPECT_EQ(nobody.status(), 0);
    EXPECT_EQ(server.connection().policy, policy);
    EXPECT_EQ(server.connection().state, unsigned(FUSEWB_CONN_READY));
    EXPECT_EQ(Netlink().defaults(), defaults);
}
