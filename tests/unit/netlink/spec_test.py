#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""spec_test.py HEADER SPEC: the netlink specification says what the header says.

Every enumerator of the header is in the specification under the same value and, where the header's
comment gives its type, with the same type; and the other way round.
"""
import re
import sys

import yaml

failures = []


def expect(condition, text):
    if not condition:
        failures.append(text)


def constant(*parts):
    return "-".join(parts).replace("--", "-").replace("-", "_").upper()


class Header:
    """Enumerations, string and number constants of a C header."""

    def __init__(self, text):
        self.enums = {}
        self.types = {}
        for name, body in re.findall(r"^enum (\w+) \{\n(.*?)^\};", text, re.S | re.M):
            for enumerator, kind in re.findall(r"(\w+),\s*/\* (u8|u32|u64|string|nest)\b", body):
                self.types[enumerator] = kind
            body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
            names = [part.strip() for part in body.split(",") if part.strip()]
            self.enums[name] = {enumerator: i for i, enumerator in enumerate(names)}
        self.defines = dict(re.findall(r"^#define (\w+)\s+\"?([\w-]+)\"?$", text, re.M))


def compare(header, enum_name, wanted):
    """The enumeration has these values, and beside them only its bookkeeping."""
    enum_name = enum_name.replace("-", "_")
    have = header.enums.get(enum_name)
    expect(have is not None, f"the header has no enum {enum_name}")
    if have is None:
        return
    rest = {n: v for n, v in have.items() if not n.startswith("__") and not n.endswith("_UNSPEC")}
    for name, value in wanted.items():
        expect(rest.pop(name, None) == value,
               f"{enum_name}: {name} is {value} in the specification, {have.get(name)} in the header")
    for name in rest:
        expect(False, f"{enum_name}: {name} is not in the specification")


def numbered(items, prefix, first):
    values, value = {}, first
    for item in items:
        value = item.get("value", value)
        values[constant(prefix, item["name"])] = value
        value += 1
    return values


def check_definitions(header, spec):
    enums = set()
    for definition in spec["definitions"]:
        if definition["type"] == "const":
            name = constant(spec["name"], definition["name"])
            expect(header.defines.get(name) == str(definition["value"]), f"{name} differs")
            continue
        enums.add(definition["name"])
        entries = [{"name": entry} for entry in definition["entries"]]
        compare(header, definition["enum-name"], numbered(entries, definition["name-prefix"], 0))
    return enums


def check_sets(header, spec, enums):
    sets = {}
    for attribute_set in spec["attribute-sets"]:
        attributes = attribute_set["attributes"]
        sets[attribute_set["name"]] = {attribute["name"] for attribute in attributes}
        prefix = attribute_set["name-prefix"]
        compare(header, attribute_set["enum-name"], numbered(attributes, prefix, 1))
        for attribute in attributes:
            name = constant(prefix, attribute["name"])
            told = header.types.get(name, attribute["type"])
            expect(told == attribute["type"], f"{name} is {told} in the header")
            if "enum" in attribute:
                expect(attribute["enum"] in enums, f"{name}: no enum {attribute['enum']}")
    for attribute_set in spec["attribute-sets"]:
        for attribute in attribute_set["attributes"]:
            if attribute["type"] == "nest":
                expect(attribute["nested-attributes"] in sets,
                       f"{attribute['name']}: no attributes {attribute['nested-attributes']}")
    return sets


def check_operations(header, spec, sets):
    operations = spec["operations"]
    names = {operation["name"] for operation in operations["list"]}
    groups = {group["name"] for group in spec["mcast-groups"]["list"]}
    compare(header, operations["enum-name"],
            numbered(operations["list"], operations["name-prefix"], 1))
    expect(groups == {header.defines["FUSEWB_MCGRP_EVENTS"]}, "other multicast groups")
    for operation in operations["list"]:
        where = operation["name"]
        if "notify" in operation:
            expect(operation["notify"] in names, f"{where} notifies of nothing")
        if "notify" in operation or "event" in operation:
            expect(operation.get("mcgrp") in groups, f"{where} goes to no group")
        messages = [operation.get("event")]
        for kind in ("do", "dump"):
            messages += [operation.get(kind, {}).get(way) for way in ("request", "reply")]
        for message in filter(None, messages):
            for attribute in message["attributes"]:
                expect(attribute in sets[operation["attribute-set"]],
                       f"{where}: no attribute {attribute}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        header = Header(file.read())
    with open(sys.argv[2], encoding="utf-8") as file:
        spec = yaml.safe_load(file)
    expect(header.defines["FUSEWB_GENL_NAME"] == spec["name"], "another family")
    expect(len(header.enums) > 10 and len(header.types) > 40, "the header was not understood")
    enums = check_definitions(header, spec)
    sets = check_sets(header, spec, enums)
    check_operations(header, spec, sets)
    in_spec = {name.replace("-", "_") for name in
               [d["enum-name"] for d in spec["definitions"] if d["type"] == "enum"] +
               [s["enum-name"] for s in spec["attribute-sets"]] +
               [spec["operations"]["enum-name"]]}
    for name in header.enums:
        expect(name in in_spec, f"enum {name} is not in the specification")
    for failure in failures:
        print(failure)
    return 1 if failures else 0


sys.exit(main())
