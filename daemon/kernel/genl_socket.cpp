// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/genl_socket.h"

#include <cerrno>
#include <cstring>
#include <netlink/errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace fusewb::kernel {

namespace {

// The kernel answers at once; only a kernel that is in trouble makes us wait this long.
constexpr timeval answerTimeout{5, 0};

// One turn of the event loop takes in no more than this, so that it gets to its other work.
constexpr std::size_t messagesATurn = 1024;

// Room for the events of a burst of mounts; the kernel limits it to net.core.rmem_max.
constexpr int receiveBuffer = 1 << 20;

struct FreeCallbacks {
    void operator()(nl_cb *callbacks) const { nl_cb_put(callbacks); }
};

struct FreeMessage {
    void operator()(nl_msg *message) const { nlmsg_free(message); }
};

// libnl folds ENOBUFS into NLE_NOMEM; both mean that messages are lost.
int errnoOf(int nle) {
    switch (nle < 0 ? -nle : nle) {
    case NLE_OBJ_NOTFOUND:
        return ENOENT;
    case NLE_AGAIN:
        return EAGAIN;
    case NLE_DUMP_INTR:
        return EINTR;
    case NLE_NOMEM:
        return ENOBUFS;
    case NLE_PERM:
    case NLE_NOACCESS:
        return EPERM;
    default:
        return EIO;
    }
}

Failure failure(const std::string &what, int nle) {
    return {what + ": " + nl_geterror(nle), errnoOf(nle)};
}

// What libnl's callbacks fill in. They are called from C, so nothing may be thrown there.
struct Reception {
    Messages messages;
    bool finished = false;
    int error = 0;
    std::string reason; // what the kernel says about the error
};

int take(nl_msg *message, void *data) noexcept {
    auto &reception = *static_cast<Reception *>(data);
    // Whoever may send from user space, news come from the kernel.
    if (nlmsg_get_src(message)->nl_pid != 0)
        return NL_SKIP;
    const nlmsghdr *header = nlmsg_hdr(message);
    const auto *begin = reinterpret_cast<const std::byte *>(header);
    try {
        reception.messages.emplace_back(std::vector<std::byte>(begin, begin + header->nlmsg_len));
    } catch (...) {
        reception.error = ENOBUFS;
    }
    return NL_OK;
}

int finish(nl_msg *message, void *data) noexcept {
    auto &reception = *static_cast<Reception *>(data);
    const nlmsghdr *header = nlmsg_hdr(message);
    // A dump that fails half-way says so in its last message.
    if (header->nlmsg_type == NLMSG_DONE && nlmsg_datalen(header) >= int{sizeof(int)}) {
        int status = 0;
        std::memcpy(&status, nlmsg_data(header), sizeof status);
        if (status < 0)
            reception.error = -status;
    }
    reception.finished = true;
    return NL_STOP;
}

// The text of an extended acknowledgement, empty if there is none.
std::string reasonOf(nlmsgerr *answer) {
    auto *header = reinterpret_cast<nlmsghdr *>(reinterpret_cast<char *>(answer) - NLMSG_HDRLEN);
    if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0)
        return {};
    // The question is repeated in between, or only its header.
    std::size_t skip = sizeof(nlmsgerr);
    if ((header->nlmsg_flags & NLM_F_CAPPED) == 0)
        skip += answer->msg.nlmsg_len - static_cast<std::size_t>(NLMSG_HDRLEN);
    const auto size = static_cast<std::size_t>(nlmsg_datalen(header));
    if (skip >= size)
        return {};
    auto *first = reinterpret_cast<nlattr *>(reinterpret_cast<char *>(answer) + NLMSG_ALIGN(skip));
    const nlattr *text = nla_find(first, static_cast<int>(size - skip), NLMSGERR_ATTR_MSG);
    if (!text || nla_len(text) <= 0)
        return {};
    const auto *begin = static_cast<const char *>(nla_data(text));
    return std::string(begin, strnlen(begin, static_cast<std::size_t>(nla_len(text))));
}

int refuse(sockaddr_nl *, nlmsgerr *answer, void *data) noexcept {
    auto &reception = *static_cast<Reception *>(data);
    reception.error = -answer->error;
    try {
        reception.reason = reasonOf(answer);
    } catch (...) {
        reception.reason.clear();
    }
    reception.finished = true;
    return NL_STOP;
}

// The kernel tells of a loss before it hands out what waits, and until all of that is taken it
// drops what comes without another word.
void discard(int socket) {
    char byte = 0;
    while (recv(socket, &byte, sizeof byte, 0) >= 0 || errno == ENOBUFS || errno == EINTR) {
    }
}

using Callbacks = std::unique_ptr<nl_cb, FreeCallbacks>;

Callbacks callbacksInto(Reception &reception, bool checkSequence) {
    Callbacks callbacks(nl_cb_alloc(NL_CB_DEFAULT));
    if (!callbacks)
        return callbacks;
    nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, take, &reception);
    nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, finish, &reception);
    nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, finish, &reception);
    nl_cb_err(callbacks.get(), NL_CB_CUSTOM, refuse, &reception);
    if (!checkSequence) {
        const auto any = [](nl_msg *, void *) noexcept -> int { return NL_OK; };
        nl_cb_set(callbacks.get(), NL_CB_SEQ_CHECK, NL_CB_CUSTOM, any, nullptr);
    }
    return callbacks;
}

// False if it does not fit.
bool put(nl_msg *message, const std::vector<Attribute> &attributes) {
    for (const Attribute &attribute : attributes) {
        int status = 0;
        if (const auto *nested = std::get_if<std::vector<Attribute>>(&attribute.value)) {
            nlattr *nest = nla_nest_start(message, attribute.type | NLA_F_NESTED);
            if (!nest || !put(message, *nested))
                return false;
            nla_nest_end(message, nest);
        } else if (const auto *wide = std::get_if<std::uint64_t>(&attribute.value)) {
            status = nla_put_u64(message, attribute.type, *wide);
        } else if (const auto *number = std::get_if<std::uint32_t>(&attribute.value)) {
            status = nla_put_u32(message, attribute.type, *number);
        } else {
            status = nla_put_u8(message, attribute.type, std::get<std::uint8_t>(attribute.value));
        }
        if (status < 0)
            return false;
    }
    return true;
}

} // namespace

void GenlSocket::Free::operator()(nl_sock *socket) const { nl_socket_free(socket); }

Result<GenlSocket> GenlSocket::forRequests() {
    Socket socket(nl_socket_alloc());
    if (!socket)
        return Failure{"out of memory", ENOMEM};
    if (const int error = genl_connect(socket.get()); error < 0)
        return failure("cannot open a generic netlink socket", error);
    nl_socket_enable_msg_peek(socket.get());
    if (setsockopt(nl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVTIMEO, &answerTimeout,
                   sizeof answerTimeout) < 0)
        return Failure{std::string("cannot limit the wait for netlink: ") + std::strerror(errno),
                       errno};
    // Without it an error is only a number; a kernel that does not know it still has that.
    const int yes = 1;
    setsockopt(nl_socket_get_fd(socket.get()), SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof yes);
    return GenlSocket(std::move(socket));
}

Result<GenlSocket> GenlSocket::forEvents() {
    Socket socket(nl_socket_alloc());
    if (!socket)
        return Failure{"out of memory", ENOMEM};
    if (const int error = genl_connect(socket.get()); error < 0)
        return failure("cannot open a generic netlink socket", error);
    nl_socket_enable_msg_peek(socket.get());
    nl_socket_set_buffer_size(socket.get(), receiveBuffer, 0);
    if (const int error = nl_socket_set_nonblocking(socket.get()); error < 0)
        return failure("cannot listen on generic netlink", error);
    return GenlSocket(std::move(socket));
}

int GenlSocket::descriptor() const { return nl_socket_get_fd(socket_.get()); }

Result<int> GenlSocket::resolveFamily(const std::string &name) {
    const int family = genl_ctrl_resolve(socket_.get(), name.c_str());
    if (family < 0)
        return failure("cannot find the netlink family " + name, family);
    return family;
}

Result<int> GenlSocket::resolveGroup(const std::string &family, const std::string &group) {
    const int number = genl_ctrl_resolve_grp(socket_.get(), family.c_str(), group.c_str());
    if (number < 0)
        return failure("cannot find the netlink group " + family + "/" + group, number);
    return number;
}

Result<Messages> GenlSocket::ask(const Question &question) {
    const std::unique_ptr<nl_msg, FreeMessage> request(nlmsg_alloc());
    Reception reception;
    const Callbacks callbacks = callbacksInto(reception, true);
    if (!request || !callbacks)
        return Failure{"out of memory", ENOMEM};
    if (!genlmsg_put(request.get(), NL_AUTO_PORT, NL_AUTO_SEQ, question.family, 0,
                     question.dump ? NLM_F_DUMP : 0, static_cast<std::uint8_t>(question.command),
                     static_cast<std::uint8_t>(question.version)))
        return Failure{"out of memory", ENOMEM};
    if (!put(request.get(), question.attributes))
        return Failure{"out of memory", ENOMEM};

    int status = nl_send_auto(socket_.get(), request.get());
    while (status >= 0 && !reception.finished)
        status = nl_recvmsgs(socket_.get(), callbacks.get());

    if (reception.error != 0)
        return Failure{reception.reason.empty()
                           ? std::string("the kernel answers: ") + std::strerror(reception.error)
                           : reception.reason,
                       reception.error};
    if (status < 0) {
        // Parts of the answer may still come; on a new socket they cannot be taken for another.
        if (auto fresh = forRequests())
            socket_ = std::move(fresh->socket_);
        return failure("no answer over generic netlink", status);
    }
    return std::move(reception.messages);
}

Outcome GenlSocket::join(int group) {
    if (const int error = nl_socket_add_membership(socket_.get(), group); error < 0)
        return failure("cannot join a netlink group", error);
    return done();
}

void GenlSocket::leave(int group) { nl_socket_drop_membership(socket_.get(), group); }

Result<Messages> GenlSocket::receive() {
    Reception reception;
    const Callbacks callbacks = callbacksInto(reception, false);
    if (!callbacks)
        return Failure{"out of memory", ENOMEM};
    int status = 0;
    while (status >= 0 && reception.messages.size() < messagesATurn)
        status = nl_recvmsgs(socket_.get(), callbacks.get());
    if (reception.error != 0 || status == -NLE_NOMEM) {
        discard(descriptor());
        return Failure{"netlink messages were lost", ENOBUFS};
    }
    if (status < 0 && status != -NLE_AGAIN)
        return failure("cannot receive from generic netlink", status);
    return std::move(reception.messages);
}

} // namespace fusewb::kernel
