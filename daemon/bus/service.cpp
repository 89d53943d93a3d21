// SPDX-License-Identifier: GPL-2.0-only
#include "bus/service.h"

#include "base/log.h"
#include "bus/bouncer.h"
#include "bus/connection_object.h"
#include "bus/manager_object.h"
#include "bus/pump.h"
#include "bus/sdbus.h"

#include <map>

namespace fusewb::bus {

namespace {

// logind's, with whether the sleep begins or has ended.
constexpr const char *prepareForSleep =
    "type='signal',sender='org.freedesktop.login1',path='/org/freedesktop/login1',"
    "interface='org.freedesktop.login1.Manager',member='PrepareForSleep'";

class SdbusService final : public Service, private model::Observer {
public:
    SdbusService(std::unique_ptr<sdbus::IConnection> bus, model::Registry &registry,
                 std::string version, Control &control)
        : bus_(std::move(bus)), registry_(registry), control_(control), bouncer_(makePolkit(*bus_)),
          manager_(*bus_, registry, control, bouncer_, std::move(version)) {
        for (const auto &[id, connection] : registry.connections())
            connectionAdded(connection);
        sleep_ = compat::addMatch(*bus_, prepareForSleep, [this](auto &&message) {
            bool begins = false;
            message >> begins;
            if (begins)
                control_.beforeSleep();
        });
        registry.setObserver(this);
    }

    ~SdbusService() override { registry_.setObserver(nullptr); }

    Outcome attach(sd_event *loop, std::function<void()> lost) {
        auto pump = Pump::attach(*bus_, loop, std::move(lost));
        if (!pump)
            return pump.failure();
        pump_ = std::move(*pump);
        return done();
    }

    Outcome own() override {
        try {
            bus_->requestName(compat::ServiceName(serviceName));
        } catch (const sdbus::Error &error) {
            return Failure{std::string("cannot own ") + serviceName + ": " + error.getMessage()};
        }
        return done();
    }

    void deadlineExpired(const model::Expiry &expiry) override {
        const auto object = objects_.find(expiry.request.connection);
        if (object != objects_.end())
            send([&] { object->second.expired(expiry); });
    }

    void defaultsChanged() override {
        send([this] { manager_.defaultsChanged(); });
    }

private:
    void moduleChanged() override {
        send([this] { manager_.moduleChanged(); });
    }

    void connectionAdded(const model::Connection &connection) override {
        const model::ConnectionId id = connection.kernel.id;
        send([this, id] {
            objects_.try_emplace(id, *bus_, registry_, control_, bouncer_, id);
            manager_.emitConnectionAdded(connectionPath(id));
        });
    }

    void connectionChanged(const model::Connection &connection,
                           const std::vector<model::Field> &fields) override {
        const auto object = objects_.find(connection.kernel.id);
        if (object != objects_.end())
            send([&] { object->second.changed(connection, fields); });
    }

    void connectionRemoved(model::ConnectionId id) override {
        send([this, id] {
            if (objects_.erase(id) != 0)
                manager_.emitConnectionRemoved(connectionPath(id));
        });
    }

    // The registry knows nothing of the bus. A message that cannot be sent is logged; that the bus
    // is gone altogether the pump tells.
    template <typename Action> void send(Action action) {
        try {
            action();
        } catch (const sdbus::Error &error) {
            log::warning("cannot tell the bus: ", error.what());
        }
    }

    std::unique_ptr<sdbus::IConnection> bus_;
    model::Registry &registry_;
    Control &control_;
    Bouncer bouncer_;
    ManagerObject manager_;
    std::map<model::ConnectionId, ConnectionObject> objects_;
    sdbus::Slot sleep_;
    std::unique_ptr<Pump> pump_;
};

} // namespace

Result<std::unique_ptr<Service>> Service::open(sd_event *loop, model::Registry &registry,
                                               std::string version, Control &control,
                                               std::function<void()> lost) {
    try {
        auto service = std::make_unique<SdbusService>(sdbus::createSystemBusConnection(), registry,
                                                      std::move(version), control);
        if (Outcome attached = service->attach(loop, std::move(lost)); !attached)
            return attached.failure();
        return std::unique_ptr<Service>(std::move(service));
    } catch (const sdbus::Error &error) {
        return Failure{"cannot use the system bus: " + error.getMessage()};
    }
}

} // namespace fusewb::bus
