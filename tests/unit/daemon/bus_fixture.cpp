// SPDX-License-Identifier: GPL-2.0-only
#include "bus_fixture.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fusewb::test {

namespace {

constexpr auto patience = std::chrono::seconds(20);

void require(int status, const char *what) {
    if (status < 0)
        throw std::runtime_error(std::string(what) + ": " + std::strerror(-status));
}

std::string render(sd_bus_message *message);

// The members of a container, or of the message, up to its end.
std::string renderAll(sd_bus_message *message) {
    std::string text;
    while (sd_bus_message_at_end(message, 0) == 0)
        text += (text.empty() ? "" : " ") + render(message);
    return text;
}

std::string render(sd_bus_message *message) {
    char type = 0;
    const char *contents = nullptr;
    require(sd_bus_message_peek_type(message, &type, &contents), "peek");
    switch (type) {
    case SD_BUS_TYPE_STRING:
    case SD_BUS_TYPE_OBJECT_PATH: {
        const char *value = nullptr;
        require(sd_bus_message_read_basic(message, type, &value), "read a string");
        return type == SD_BUS_TYPE_STRING ? "\"" + std::string(value) + "\"" : value;
    }
    case SD_BUS_TYPE_UINT32: {
        std::uint32_t value = 0;
        require(sd_bus_message_read_basic(message, type, &value), "read a number");
        return std::to_string(value);
    }
    case SD_BUS_TYPE_UINT64: {
        std::uint64_t value = 0;
        require(sd_bus_message_read_basic(message, type, &value), "read a number");
        return std::to_string(value);
    }
    case SD_BUS_TYPE_BOOLEAN: {
        int value = 0;
        require(sd_bus_message_read_basic(message, type, &value), "read a truth");
        return value ? "true" : "false";
    }
    case SD_BUS_TYPE_UNIX_FD: {
        int value = -1;
        require(sd_bus_message_read_basic(message, type, &value), "read a descriptor");
        return "descriptor";
    }
    case SD_BUS_TYPE_ARRAY:
    case SD_BUS_TYPE_VARIANT:
    case SD_BUS_TYPE_STRUCT:
    case SD_BUS_TYPE_DICT_ENTRY: {
        require(sd_bus_message_enter_container(message, type, contents), "enter");
        const std::string text = renderAll(message);
        require(sd_bus_message_exit_container(message), "exit");
        return type == SD_BUS_TYPE_ARRAY        ? "[" + text + "]"
               : type == SD_BUS_TYPE_STRUCT     ? "(" + text + ")"
               : type == SD_BUS_TYPE_DICT_ENTRY ? "{" + text + "}"
                                                : text;
    }
    default:
        throw std::runtime_error(std::string("no such type here: ") + type);
    }
}

} // namespace

PrivateBus::PrivateBus() {
    std::string name = (std::filesystem::temp_directory_path() / "fusewbd-test-XXXXXX").string();
    if (!mkdtemp(name.data()))
        throw std::runtime_error("cannot make a temporary directory");
    directory_ = name;
    chmod(directory_.c_str(), 0755); // other users are clients too
    const std::string config = directory_ + "/bus.conf";
    std::ofstream(config) << "<!DOCTYPE busconfig PUBLIC"
                             " \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\""
                             " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
                             "<busconfig>\n"
                          << "<listen>unix:path=" << directory_ << "/socket</listen>\n"
                          << "<auth>EXTERNAL</auth>\n"
                             "<policy context=\"default\"><allow own=\"*\"/><allow user=\"*\"/>\n"
                             "<allow send_destination=\"*\"/>\n"
                             "<allow receive_type=\"method_call\"/>\n"
                             "<allow receive_type=\"method_return\"/>\n"
                             "<allow receive_type=\"error\"/>\n"
                             "<allow receive_type=\"signal\"/></policy>\n"
                             "</busconfig>\n";
    address_ = "unix:path=" + directory_ + "/socket";
    start();
    setenv("DBUS_SYSTEM_BUS_ADDRESS", address_.c_str(), 1);
}

void PrivateBus::start() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        throw std::runtime_error("cannot make a pipe");
    std::error_code ignored;
    std::filesystem::remove(directory_ + "/socket", ignored);
    const std::string option = "--config-file=" + directory_ + "/bus.conf";
    daemon_ = fork();
    if (daemon_ < 0)
        throw std::runtime_error("cannot fork");
    if (daemon_ == 0) {
        // A test that is killed leaves no bus behind.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        execlp("dbus-daemon", "dbus-daemon", option.c_str(), "--nofork", "--nopidfile",
               "--print-address=1", static_cast<char *>(nullptr));
        _exit(127);
    }
    close(ends[1]);
    // It prints its address when it takes connections.
    char byte = 0;
    bool ready = false;
    while (read(ends[0], &byte, 1) == 1 && byte != '\n')
        ready = true;
    close(ends[0]);
    if (!ready)
        throw std::runtime_error("dbus-daemon does not start");
}

PrivateBus::~PrivateBus() {
    stop();
    unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

void PrivateBus::stop() {
    if (daemon_ <= 0)
        return;
    kill(daemon_, SIGTERM);
    waitpid(daemon_, nullptr, 0);
    daemon_ = -1;
}

FakeLink::Kernel::Kernel() : descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

FakeLink::Kernel::~Kernel() { close(descriptor); }

void FakeLink::Kernel::wake() const { eventfd_write(descriptor, 1); }

void FakeLink::Kernel::say(std::function<void(kernel::LinkObserver &)> what) {
    news.push_back(std::move(what));
    wake();
}

void FakeLink::Kernel::add(const model::KernelFacts &facts) {
    connections[facts.id] = facts;
    say([facts](kernel::LinkObserver &observer) { observer.connectionSeen(facts); });
}

void FakeLink::Kernel::remove(model::ConnectionId id) {
    connections.erase(id);
    say([id](kernel::LinkObserver &observer) { observer.connectionRemoved(id); });
}

void FakeLink::Kernel::expire(const model::Expiry &expiry) {
    say([expiry](kernel::LinkObserver &observer) { observer.deadlineExpired(expiry); });
}

void FakeLink::Kernel::load(const model::ModuleInfo &info) {
    module = info;
    say([this, info](kernel::LinkObserver &observer) {
        observer.synchronised(info, defaults, {});
    });
}

void FakeLink::Kernel::unload() {
    module.reset();
    connections.clear();
    say([](kernel::LinkObserver &observer) { observer.moduleGone(); });
}

void FakeLink::Kernel::fail() {
    broken = true;
    wake();
}

Outcome FakeLink::start(kernel::LinkObserver &observer) {
    observer_ = &observer;
    if (!kernel_.module) {
        observer.moduleGone();
        return done();
    }
    std::vector<model::KernelFacts> all;
    for (const auto &[id, facts] : kernel_.connections)
        all.push_back(facts);
    observer.synchronised(*kernel_.module, kernel_.defaults, all);
    return done();
}

Outcome FakeLink::process() {
    eventfd_t count = 0;
    eventfd_read(kernel_.descriptor, &count);
    if (kernel_.broken)
        return Failure{"the kernel is gone", EIO};
    while (!kernel_.news.empty()) {
        const auto what = std::move(kernel_.news.front());
        kernel_.news.pop_front();
        what(*observer_);
    }
    return done();
}

Result<model::KernelFacts> FakeLink::fetch(model::ConnectionId id) {
    ++kernel_.fetches;
    const auto found = kernel_.connections.find(id);
    if (found == kernel_.connections.end())
        return Failure{"no such connection", ENOENT};
    return found->second;
}

Result<std::vector<model::Request>> FakeLink::requests(std::optional<model::ConnectionId> id,
                                                       std::uint64_t minimumAgeUSec) {
    std::vector<model::Request> found;
    for (const model::Request &request : kernel_.requests)
        if ((!id || request.connection == *id) && request.ageUSec >= minimumAgeUSec)
            found.push_back(request);
    return found;
}

Outcome FakeLink::change(model::ConnectionId id,
                         const std::function<void(model::KernelFacts &)> &how) {
    const auto found = kernel_.connections.find(id);
    if (found == kernel_.connections.end())
        return Failure{"there is no connection with this id", ENOENT};
    if (kernel_.refuse != 0)
        return Failure{"the kernel says no", kernel_.refuse};
    ++kernel_.changes;
    how(found->second);
    kernel_.add(found->second);
    return done();
}

Outcome FakeLink::set(model::ConnectionId id, const policy::Values &values) {
    return change(id, [&](model::KernelFacts &facts) { facts.policy.add(values); });
}

Outcome FakeLink::abort(model::ConnectionId id) {
    return change(id, [](model::KernelFacts &facts) {
        facts.state = model::State::Aborted;
        facts.abortReason = model::AbortReason::Requested;
    });
}

Outcome FakeLink::setDefaults(const model::Defaults &changes) {
    if (kernel_.refuse != 0)
        return Failure{"the kernel says no", kernel_.refuse};
    kernel_.defaults.privileged.add(changes.privileged);
    kernel_.defaults.others.add(changes.others);
    kernel_.say([changes](kernel::LinkObserver &observer) { observer.defaultsChanged(changes); });
    return done();
}

namespace {

using Answers = std::map<std::string, char>;

int onCheck(sd_bus_message *message, void *data, sd_bus_error *) {
    const auto &answers = *static_cast<const Answers *>(data);
    const char *kind = nullptr;
    const char *action = nullptr;
    std::uint32_t flags = 0;
    if (sd_bus_message_enter_container(message, 'r', "sa{sv}") < 0 ||
        sd_bus_message_read(message, "s", &kind) < 0 || sd_bus_message_skip(message, "a{sv}") < 0 ||
        sd_bus_message_exit_container(message) < 0 ||
        sd_bus_message_read(message, "s", &action) < 0 ||
        sd_bus_message_skip(message, "a{ss}") < 0 || sd_bus_message_read(message, "u", &flags) < 0)
        return -EBADMSG;
    const auto answer = answers.find(action);
    const bool byName = std::string(kind) == "system-bus-name";
    const char how = byName && answer != answers.end() ? answer->second : 'n';
    if (how == 's')
        return 1;
    const bool asked = how == 'c' && (flags & 1) != 0;
    return sd_bus_reply_method_return(message, "(bba{ss})", how == 'y' || asked,
                                      how == 'c' && !asked, 0);
}

constexpr sd_bus_vtable polkitTable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", onCheck,
                  SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

// Says so on the descriptor once it has the name; ends with the bus.
int servePolkit(const std::string &address, Answers answers, int ready) {
    sd_bus *bus = nullptr;
    if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, address.c_str()) < 0 ||
        sd_bus_set_bus_client(bus, 1) < 0 || sd_bus_start(bus) < 0 ||
        sd_bus_add_object_vtable(bus, nullptr, "/org/freedesktop/PolicyKit1/Authority",
                                 "org.freedesktop.PolicyKit1.Authority", polkitTable,
                                 &answers) < 0 ||
        sd_bus_request_name(bus, "org.freedesktop.PolicyKit1", 0) < 0 || write(ready, "r", 1) != 1)
        return EXIT_FAILURE;
    int status = 0;
    while (status >= 0) {
        status = sd_bus_process(bus, nullptr);
        if (status == 0)
            status = sd_bus_wait(bus, UINT64_MAX);
    }
    return EXIT_SUCCESS;
}

} // namespace

FakePolkit::FakePolkit(const std::string &address, std::map<std::string, char> answers) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        throw std::runtime_error("cannot make a pipe");
    process_ = fork();
    if (process_ < 0)
        throw std::runtime_error("cannot fork");
    if (process_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(servePolkit(address, std::move(answers), ends[1]));
    }
    close(ends[1]);
    char byte = 0;
    const bool ready = read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    if (!ready)
        throw std::runtime_error("the false polkit does not start");
}

FakePolkit::~FakePolkit() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
}

Client::Client(sd_event *loop, const std::string &address, uid_t user) : loop_(loop) {
    sd_bus *bus = nullptr;
    require(sd_bus_new(&bus), "new");
    bus_.reset(bus);
    require(sd_bus_set_address(bus, address.c_str()), "address");
    require(sd_bus_set_bus_client(bus, 1), "client");
    // The bus takes the user from the socket, which has that of the moment it connects.
    const uid_t self = geteuid();
    if (user != self && seteuid(user) < 0)
        throw std::runtime_error("cannot become another user");
    const int started = sd_bus_start(bus);
    if (user != self && seteuid(self) < 0)
        throw std::runtime_error("cannot become oneself again");
    require(started, "start");
    require(sd_bus_attach_event(bus, loop, 0), "attach");
    require(sd_bus_add_match(bus, nullptr, "type='signal',path_namespace='/org/fusewb'", onSignal,
                             this),
            "match");
}

int Client::onSignal(sd_bus_message *message, void *data, sd_bus_error *) {
    static_cast<Client *>(data)->signals_.push_back(
        std::string(sd_bus_message_get_member(message)) + " " + sd_bus_message_get_path(message) +
        " " + renderAll(message));
    return 0;
}

int Client::onReply(sd_bus_message *message, void *data, sd_bus_error *) {
    auto &reply = *static_cast<std::optional<Reply> *>(data);
    reply.emplace();
    if (const sd_bus_error *error = sd_bus_message_get_error(message)) {
        reply->error = error->name;
        reply->message = error->message ? error->message : "";
    } else {
        if (sd_bus_message_has_signature(message, "h")) {
            int fd = -1;
            require(sd_bus_message_read(message, "h", &fd), "read a descriptor");
            reply->descriptor = fcntl(fd, F_DUPFD_CLOEXEC, 3);
            require(sd_bus_message_rewind(message, 1), "rewind");
        }
        reply->body = renderAll(message);
    }
    return 0;
}

Client::Message Client::request(const std::string &path, const std::string &interface,
                                const std::string &method) {
    sd_bus_message *message = nullptr;
    require(sd_bus_message_new_method_call(bus_.get(), &message, "org.fusewb", path.c_str(),
                                           interface.c_str(), method.c_str()),
            "make a call");
    return Message(message);
}

Reply Client::send(Message request) {
    std::optional<Reply> reply;
    require(sd_bus_call_async(bus_.get(), nullptr, request.get(), onReply, &reply, 0), "call");
    if (!runUntil([&reply] { return reply.has_value(); }))
        throw std::runtime_error("no reply");
    return *reply;
}

Reply Client::call(const std::string &path, const std::string &interface, const std::string &method,
                   const std::vector<std::string> &strings) {
    Message message = request(path, interface, method);
    for (const std::string &string : strings)
        require(sd_bus_message_append_basic(message.get(), 's', string.c_str()), "append");
    return send(std::move(message));
}

Reply Client::callWithNumber(const std::string &path, const std::string &interface,
                             const std::string &method, std::uint32_t number) {
    Message message = request(path, interface, method);
    require(sd_bus_message_append_basic(message.get(), 'u', &number), "append");
    return send(std::move(message));
}

Reply Client::callWith(const std::string &path, const std::string &interface,
                       const std::string &method,
                       const std::function<void(sd_bus_message *)> &append, bool interactive) {
    Message message = request(path, interface, method);
    if (append)
        append(message.get());
    require(sd_bus_message_set_allow_interactive_authorization(message.get(), interactive),
            "allow questions");
    return send(std::move(message));
}

void Client::post(const std::string &path, const std::string &interface,
                  const std::string &method) {
    require(sd_bus_send(bus_.get(), request(path, interface, method).get(), nullptr), "send");
    require(sd_bus_flush(bus_.get()), "flush");
}

Reply Client::set(const std::string &path, const std::string &interface,
                  const std::string &property, char type, const void *value) {
    return callWith(path, "org.freedesktop.DBus.Properties", "Set", [&](sd_bus_message *message) {
        const char contents[] = {type, 0};
        require(sd_bus_message_append(message, "ss", interface.c_str(), property.c_str()), "name");
        require(sd_bus_message_open_container(message, 'v', contents), "open");
        require(sd_bus_message_append_basic(message, type, value), "value");
        require(sd_bus_message_close_container(message), "close");
    });
}

Reply Client::get(const std::string &path, const std::string &interface,
                  const std::string &property) {
    return call(path, "org.freedesktop.DBus.Properties", "Get", {interface, property});
}

void Client::say(const std::string &service, const std::string &path, const std::string &interface,
                 const std::string &signal, bool truth) {
    const int named = sd_bus_request_name(bus_.get(), service.c_str(), 0);
    require(named == -EALREADY ? 0 : named, "name");
    require(
        sd_bus_emit_signal(bus_.get(), path.c_str(), interface.c_str(), signal.c_str(), "b", truth),
        "say");
    require(sd_bus_flush(bus_.get()), "flush");
}

bool Client::heard(const std::string &text) {
    return runUntil([this, &text] {
        return std::find(signals_.begin(), signals_.end(), text) != signals_.end();
    });
}

bool Client::runUntil(const std::function<bool()> &condition) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end)
            return false;
        require(sd_event_run(loop_, 100'000), "run");
    }
    return true;
}

} // namespace fusewb::test
