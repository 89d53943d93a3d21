#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the benchmark measured: collected as JSON, shown as table and page, compared.

A figure is the median over the rounds of all boots; a ratio is that of the rounds in which both
clients did the same work one after the other, so that what the machine did meanwhile cancels out.
"""

import argparse
import json
import os
import statistics
import sys

from tabulate import tabulate

CLIENTS = ("fuse", "copy", "fusewb", "native")
TITLES = {
    "write-1m": "sequential write 1 MiB, fsync",
    "write-4k": "sequential write 4 KiB, fsync",
    "write-1k": "sequential write 1 KiB, fsync",
    "rewrite-64k": "rewrite of 64 KiB, fdatasync each",
    "append-100": "append of 100 bytes, fdatasync each",
    "random-1m": "random write 1 MiB, fsync each",
    "random-4k": "random write 4 KiB, final fsync",
    "map-write": "mmap write, msync",
    "read-cold": "sequential read 1 MiB, cold",
    "read-warm": "sequential read 1 MiB, warm",
    "two-write-1m": "two files at once, 1 MiB, fsync",
    "small-files": "create, stat, unlink small files",
    "untar": "unpack a tree of sources",
    "checkout": "git clone and checkout of it",
    "build": "compile four programs",
}
# Their amounts are files.
OF_FILES = ("small-files", "untar", "checkout", "build")
CONDITIONS = {
    "shipped": "as shipped",
    "lifted": "strict limit lifted on both",
    "strict": "strict limit on both",
    "reading": "as shipped, the server reads",
    "ext4": "as shipped, on ext4",
}
BEDS = {
    "counted": "one CPU on instruction-counted time",
    "threads": "two emulated CPUs",
}


def die(text):
    sys.exit(f"report.py: {text}")


def parse(path, boot, into):
    """Adds what `measure` printed in one boot to a condition's results."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if words[0] == "limit" and len(words) == 4:
                into["limits"][words[1]] = {"strict_limit": words[2], "max_ratio": words[3]}
                continue
            if len(words) != 8 or words[0] not in TITLES or words[1] not in CLIENTS:
                die(f"{path}: not a line of measure: {line.strip()}")
            work, client, round_, amount, seconds, cpu, switches, requests = words
            into["works"].setdefault(work, {}).setdefault(client, []).append({
                "boot": boot,
                "round": int(round_),
                "amount": int(amount),
                "seconds": float(seconds),
                "cpu_seconds": float(cpu),
                "switches": int(switches),
                "requests": None if requests == "-" else int(requests),
            })


def collect(args):
    data = {"kernel": args.kernel, "bed": args.bed, "date": args.date, "conditions": {}}
    for number, file in enumerate(args.files):
        condition, colon, path = file.partition(":")
        if not colon or condition not in CONDITIONS:
            die(f"'{file}' is not CONDITION:FILE")
        into = data["conditions"].setdefault(condition, {"limits": {}, "works": {}})
        parse(path, number, into)
    for condition, results in data["conditions"].items():
        for work, clients in results["works"].items():
            missing = [client for client in CLIENTS if client not in clients]
            if missing:
                die(f"{condition}, {work}: nothing was measured of {', '.join(missing)}")
    with open(args.json, "w", encoding="utf-8") as out:
        json.dump(data, out, indent=1)
        out.write("\n")


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        die(f"{path}: {error}")


def rates(samples):
    return [rate(sample) for sample in samples]


def show_rate(work, rate):
    if work in OF_FILES:
        return f"{rate:.0f}/s"
    return f"{rate / 1e6:.1f}" if rate < 1e9 else f"{rate / 1e6:.0f}"


def ratios(clients, one, other, what):
    """The ratios one/other of `what`, a function of a sample, round by round."""
    others = {(s["boot"], s["round"]): s for s in clients[other]}
    return [what(s) / what(others[s["boot"], s["round"]]) for s in clients[one]
            if (s["boot"], s["round"]) in others and what(others[s["boot"], s["round"]])]


def rate(sample):
    return sample["amount"] / sample["seconds"]


def ratio_with_spread(values):
    if not values:
        return "-"
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def per_mib(samples, key):
    return statistics.median(s[key] / (s["amount"] / 2**20) for s in samples)


def requests_per_switch(samples):
    """Reads from the cache ask nobody and change to nobody."""
    values = [s["requests"] / s["switches"] for s in samples if s["switches"]]
    return f"{statistics.median(values):.2f}" if values else "-"


def rows(works):
    for work, title in TITLES.items():
        if work not in works:
            continue
        clients = works[work]
        bytes_moved = work not in OF_FILES
        yield [
            title,
            *(show_rate(work, statistics.median(rates(clients[client]))) for client in CLIENTS),
            ratio_with_spread(ratios(clients, "fusewb", "fuse", rate)),
            ratio_with_spread(ratios(clients, "copy", "fuse", rate)),
            f"{statistics.median(ratios(clients, 'fusewb', 'native', rate)):.2f}",
            f"{statistics.median(ratios(clients, 'fusewb', 'fuse', lambda s: s['cpu_seconds'])):.2f}",
            *(f"{per_mib(clients[client], 'switches'):.1f}" if bytes_moved else "-"
              for client in ("fuse", "fusewb")),
            requests_per_switch(clients["fusewb"]),
        ]


HEADERS = ["work", "fuse MB/s", "copy", "fusewb", "native", "fusewb/fuse", "copy/fuse",
           "of native", "CPU time", "switches/MiB fuse", "fusewb", "requests/switch"]


def scaling(works):
    """What a second writer brought each client, in one sentence, if it was measured."""
    if "write-1m" not in works or "two-write-1m" not in works:
        return ""
    one, two = works["write-1m"], works["two-write-1m"]
    parts = []
    for client in CLIENTS:
        both = ratios({"one": one[client], "two": two[client]}, "two", "one", rate)
        parts.append(f"{client} {ratio_with_spread(both)}")
    return f"two writers against one, 1 MiB at a time: {', '.join(parts)}"


def tables(data, form):
    for condition, results in data["conditions"].items():
        limits = "; ".join(f"{client}: strict_limit {limit['strict_limit']}, "
                           f"max_ratio {limit['max_ratio']}"
                           for client, limit in results["limits"].items())
        heading = f"Linux {data['kernel']}, {BEDS[data['bed']]}, {CONDITIONS[condition]}"
        yield heading, limits, scaling(results["works"]), tabulate(
            list(rows(results["works"])), HEADERS, tablefmt=form, disable_numparse=True)


def table(args):
    for heading, limits, scale, text in tables(load(args.json),
                                               "github" if args.github else "simple"):
        print(f"{heading}\n({limits})\n\n{text}\n")
        if scale:
            print(f"{scale}\n")


def summary(args):
    """Markdown: of one file a column for each condition, of several one for each kernel."""
    files = [load(path) for path in args.json]
    if len(files) == 1:
        columns = [(CONDITIONS[name], results["works"])
                   for name, results in files[0]["conditions"].items()]
    else:
        columns = [(data["kernel"], data["conditions"]["shipped"]["works"]) for data in files]
    lines = [[title, *(ratio_with_spread(ratios(works[work], "fusewb", "fuse", rate))
                       if work in works else "" for _, works in columns)]
             for work, title in TITLES.items()]
    print(tabulate(lines, ["work", *(name for name, _ in columns)], tablefmt="github",
                   disable_numparse=True))


def plot(data, condition, results, path):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    names = [work for work in TITLES if work in results["works"]]
    figure, axes = pyplot.subplots(figsize=(9, 0.45 * len(names) + 1.5))
    for offset, client in ((-0.2, "fusewb"), (0.2, "copy")):
        values = [ratios(results["works"][work], client, "fuse", rate) for work in names]
        middle = [statistics.median(v) for v in values]
        spread = [[m - min(v) for m, v in zip(middle, values)],
                  [max(v) - m for m, v in zip(middle, values)]]
        axes.barh([i + offset for i in range(len(names))], middle, 0.36, xerr=spread, label=client)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), [TITLES[name] for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("times in-tree fuse")
    axes.set_title(f"Linux {data['kernel']}, {CONDITIONS[condition]}")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def page(args):
    parts = []
    for path in args.json:
        data = load(path)
        stem = f"{data['kernel']}.{data['bed']}"
        texts = tables(data, "html")
        for (condition, results), (heading, limits, scale, text) in zip(
                data["conditions"].items(), texts):
            picture = f"{stem}.{condition}.svg"
            plot(data, condition, results, os.path.join(args.directory, picture))
            parts.append(f"<h2>{heading}</h2>\n<p>{data['date']}; {limits}</p>\n{text}\n"
                         f"<p>{scale}</p>\n"
                         f'<p><img src="{picture}" alt="{heading}"></p>\n')
    out = os.path.join(args.directory, "index.html")
    with open(out, "w", encoding="utf-8") as file:
        file.write("<!DOCTYPE html>\n<meta charset=utf-8>\n<title>fusewb: measured</title>\n"
                   "<style>body{font-family:sans-serif} td,th{padding:.2em .8em;text-align:right}"
                   " td:first-child{text-align:left}</style>\n"
                   "<h1>fusewb against in-tree fuse</h1>\n<p>The beds distort differently, so they"
                   " are never mixed: the counted one has no caches and one CPU, the other the"
                   " noise of emulation. A ratio: the median, least to greatest.</p>\n"
                   + "\n".join(parts))
    print(out)


def compare(args):
    old, new = load(args.old), load(args.new)
    if (old["kernel"], old["bed"]) != (new["kernel"], new["bed"]):
        die(f"{args.old} is of Linux {old['kernel']} ({old['bed']}), "
            f"{args.new} of {new['kernel']} ({new['bed']}): they cannot be compared")
    lines = []
    for condition, results in new["conditions"].items():
        for work, title in TITLES.items():
            before = old["conditions"].get(condition, {}).get("works", {}).get(work)
            after = results["works"].get(work)
            if not before or not after:
                continue
            was, is_ = (statistics.median(ratios(c, "fusewb", "fuse", rate)) for c in (before, after))
            lines.append([CONDITIONS[condition], title, f"{was:.2f}", f"{is_:.2f}",
                          f"{100 * (is_ / was - 1):+.1f} %"])
    if not lines:
        die("the two files have no work in common")
    print(tabulate(lines, ["", "fusewb/fuse", "old", "new", "change"], disable_numparse=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("collect", help="what measure printed, as JSON")
    one.add_argument("json")
    one.add_argument("files", nargs="+", metavar="CONDITION:FILE")
    one.add_argument("--kernel", required=True)
    one.add_argument("--bed", required=True, choices=BEDS)
    one.add_argument("--date", required=True)
    one.set_defaults(run=collect)
    one = commands.add_parser("table", help="one JSON file as text")
    one.add_argument("json")
    one.add_argument("--github", action="store_true", help="as Markdown")
    one.set_defaults(run=table)
    one = commands.add_parser("summary", help="fusewb/fuse alone, as Markdown")
    one.add_argument("json", nargs="+")
    one.set_defaults(run=summary)
    one = commands.add_parser("page", help="JSON files as a page with plots")
    one.add_argument("directory")
    one.add_argument("json", nargs="+")
    one.set_defaults(run=page)
    one = commands.add_parser("compare", help="the ratios of two JSON files")
    one.add_argument("old")
    one.add_argument("new")
    one.set_defaults(run=compare)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
