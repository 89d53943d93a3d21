// SPDX-License-Identifier: GPL-2.0-only
#include "fusewbctl/json.h"

namespace fusewb::ctl {

namespace {

template <typename T> Json plain(const sdbus::Variant &variant) { return Json(variant.get<T>()); }

// The types that the interfaces have.
Json valueOf(const sdbus::Variant &variant) {
    const std::string type = variant.peekValueType();
    if (type == "s")
        return plain<std::string>(variant);
    if (type == "o")
        return Json(std::string(variant.get<sdbus::ObjectPath>()));
    if (type == "u")
        return plain<std::uint32_t>(variant);
    if (type == "t")
        return plain<std::uint64_t>(variant);
    if (type == "b")
        return plain<bool>(variant);
    if (type == "as")
        return plain<std::vector<std::string>>(variant);
    if (type == "a{ss}")
        return plain<std::map<std::string, std::string>>(variant);
    if (type == "a{sat}")
        return plain<std::map<std::string, std::vector<std::uint64_t>>>(variant);
    if (type == "a{sv}")
        return toJson(variant.get<Properties>());
    return Json();
}

Json pairs(const std::vector<std::pair<std::string, std::string>> &all) {
    Json list = Json::array();
    for (const auto &[key, value] : all)
        list.push_back(Json{{"key", key}, {"value", value}});
    return list;
}

} // namespace

Json toJson(const Properties &properties) {
    Json object = Json::object();
    for (const auto &[name, variant] : properties)
        object[name] = valueOf(variant);
    return object;
}

Json toJson(const Connection &connection) {
    Json object = Json::object();
    object["Connection"] = connection.id();
    object.update(toJson(connection.properties));
    return object;
}

Json toJson(const Request &request) {
    return {{"unique", request.unique},
            {"operation", request.operation},
            {"class", request.operations},
            {"state", request.state},
            {"age_usec", request.ageUSec},
            {"inode", request.nodeId},
            {"pid", request.pid},
            {"uid", request.uid},
            {"deadline_usec", request.deadlineUSec},
            {"bytes", request.bytes}};
}

Json toJson(const RuleInfo &rule) {
    return {{"name", rule.name},
            {"path", rule.path},
            {"match", pairs(rule.conditions)},
            {"policy", pairs(rule.values)}};
}

Json toJson(const Explanation &explanation) {
    Json rules = Json::array();
    for (const auto &rule : explanation.rules)
        rules.push_back(Json{{"name", rule.rule},
                             {"path", rule.path},
                             {"decides", rule.decides},
                             {"reason", rule.reason}});
    Json values = Json::array();
    for (const auto &value : explanation.values)
        values.push_back(Json{{"key", value.key},
                              {"value", value.value},
                              {"origin", value.origin},
                              {"detail", value.detail}});
    return {{"rules", std::move(rules)}, {"values", std::move(values)}};
}

Json toJson(const Bus::Event &event) {
    Json object = {{"event", event.name}, {"path", event.path}};
    object["arguments"] = toJson(event.arguments);
    return object;
}

std::string dump(const Json &json, int indent) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

} // namespace fusewb::ctl
