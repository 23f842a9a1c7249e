#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Turn what kubuf-bench printed into results.json, tables and charts.

Usage: report.py DIRECTORY [--charts] [--compare FILE]
       report.py DIRECTORY --baseline FILE

DIRECTORY holds KERNEL.tsv, and KERNEL-disk.tsv, KERNEL-memory.tsv and
KERNEL-threads.tsv, as kubuf-bench prints them; results.json, table.txt, bars.txt and the charts are
made there.
--compare fails when a figure of kubuf is more than 3 % above FILE's; --baseline
writes such a FILE.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import typing

MIB = 1 << 20
PAGE = 4096
PMD = 2 * MIB
TOLERANCE = 1.03

BACKINGS = ["huge", "vmalloc", "pages", "kmalloc"]


def read_results(directory):
    """All figures, as a list of objects."""
    results = []
    for path in sorted(directory.glob("*.tsv")):
        kernel = re.sub(r"-(disk|memory|threads)$", "", path.stem)
        for line in path.read_text().splitlines():
            fields = line.split("\t")
            if len(fields) != 8:
                continue
            case, subject, size, value, unit, faults, copied, zeroed = fields
            result = {
                "kernel": kernel, "case": case, "subject": subject,
                "bytes": int(size), "value": None, "unit": unit,
                "faults": int(faults), "copied": int(copied),
                "zeroed": int(zeroed),
            }
            if re.match(r"E[A-Z]", value):
                result["error"] = value
            else:
                result["value"] = float(value)
            # One subject is absent once, however often it was asked for.
            if case != "absent" or result not in results:
                results.append(result)
    return results


def write_results(results, path):
    """As JSON with an object a line."""
    lines = ",\n".join(json.dumps(r) for r in results)
    path.write_text(f"[\n{lines}\n]\n")


def version(kernel):
    """A number to sort and to tell kernels by: 6.1.0-56-amd64 is (6, 1)."""
    match = re.match(r"(\d+)\.(\d+)", kernel)
    return tuple(int(n) for n in match.groups()) if match else (0, 0)


def size_name(size):
    for unit, name in ((MIB, "MiB"), (1024, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def number(value):
    """A figure as a reader wants it: four digits, or all before the point."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


class Figures:
    """The figures of one kernel."""

    def __init__(self, results, kernel):
        self.kernel = kernel
        self.by_key = {(r["case"], r["subject"], r["bytes"]): r
                       for r in results if r["kernel"] == kernel}
        self.counts = any(r["unit"].startswith("instructions")
                          for r in self.by_key.values())
        self.unit = "instructions" if self.counts else "nanoseconds"

    def result(self, case, subject, size):
        return self.by_key.get((case, subject, size))

    def value(self, case, subject, size):
        result = self.result(case, subject, size)
        return result["value"] if result else None

    def ratio(self, case, subject, other, size):
        """The subject's figure in parts of the other's."""
        mine = self.value(case, subject, size)
        its = self.value(case, other, size)
        return mine / its if mine is not None and its else None

    def worst(self, case, subject, other, sizes):
        ratios = [self.ratio(case, subject, other, size) for size in sizes]
        return max((r for r in ratios if r is not None), default=None)

    def growth(self, subject, size, unit):
        """Bytes of bookkeeping for each so many bytes of a large buffer."""
        value = self.value("memory", subject, size)
        return max(value, 0) / (size / unit) if value is not None else None


def whole(backing):
    """The size that a backing is measured at."""
    return 32 * MIB if backing in ("huge", "vmalloc") else 4 * MIB


class Bar(typing.NamedTuple):
    """What is to be reached."""
    name: str
    limit: float
    get: typing.Callable
    # Of this kernel alone; else of the newest.
    kernel: tuple = None
    # In instructions, so that nanoseconds do not compare with it.
    counted: bool = False
    # Memfd's figure, for the reader to compare.
    memfd: typing.Callable = None
    # At least so much of the limit instead of at most all of it.
    margin: float = None

    def met(self, value):
        if self.margin:
            return value >= self.limit * self.margin
        return value <= self.limit


def dense_bar(backing, size, limit, kernel=None):
    suffix = f", on {kernel[0]}.{kernel[1]}" if kernel else ""
    return Bar(f"dense, {backing}, {size_name(size)}: a page{suffix}", limit,
               lambda f: f.value("dense", f"kubuf-{backing}", size),
               kernel, True, lambda f: f.value("dense", "memfd", size))


def ratio_bar(name, case, backing, size, limit, other="memfd"):
    return Bar(f"{name}, {backing}, {size_name(size)}: to {other}", limit,
               lambda f: f.ratio(case, f"kubuf-{backing}", other, size))


def best_stream(figures, size):
    """The better of the ring's ways in parts of the best peer's."""
    def best(names):
        values = [figures.value("stream", n, size) for n in names]
        return min((v for v in values if v is not None), default=None)

    mine = best(["kubuf-ring", "kubuf-ring-batch"])
    its = best(["relay", "bpf-ringbuf", "pipe", "read"])
    return mine / its if mine is not None and its else None


def bars():
    rows = [
        dense_bar("huge", 32 * MIB, 12),
        dense_bar("huge", 32 * MIB, 45, (6, 1)),
        dense_bar("vmalloc", 32 * MIB, 700),
        dense_bar("pages", 4 * MIB, 710),
        dense_bar("pages", 2 * MIB, 40),
        dense_bar("kmalloc", 4 * MIB, 24),
        dense_bar("kmalloc", 4 * MIB, 205, (6, 1)),
    ]
    for b in BACKINGS:
        rows.append(Bar(f"longest fault, {b}", 40000,
                        lambda f, b=b: f.value("longest-fault", f"kubuf-{b}",
                                               whole(b)),
                        counted=True,
                        memfd=lambda f, b=b: f.value("longest-fault", "memfd",
                                                     whole(b))))
    for b in BACKINGS:
        rows.append(ratio_bar("sparse", "sparse", b, whole(b), 0.9))
    for size in (64 * 1024, 4 * MIB):
        for b in BACKINGS:
            rows.append(ratio_bar("one touch", "one-touch", b, size, 0.9))
    for size in (64 * 1024, 4 * MIB):
        for b in BACKINGS:
            rows.append(ratio_bar("its fault alone", "one-fault", b, size,
                                  0.9))
    for call in ("read", "write"):
        for b in BACKINGS:
            rows.append(Bar(f"{call}(), {b}, worst size: to memfd", 1.0,
                            lambda f, b=b, c=call: f.worst(
                                c, f"kubuf-{b}", "memfd",
                                (64, PAGE, 4 * MIB))))
    for b, other in (("huge", "anonymous-huge"), ("vmalloc", "anonymous"),
                     ("pages", "anonymous"), ("kmalloc", "anonymous-huge")):
        rows.append(ratio_bar("steady state", "steady", b, 4 * MIB, 1.01,
                              other))
    rows.append(ratio_bar("fork, child touches all", "fork", "huge", 32 * MIB,
                          0.1))
    # An interrupt of the disk is never in the same place.
    for name, case, limit in (("vmsplice()", "vmsplice", 1.0),
                              ("O_DIRECT", "disk", 1.01),
                              ("io_uring, registered", "disk-fixed", 1.01),
                              ("registering it", "register", 1.0)):
        rows.append(ratio_bar(name, case, "huge", 32 * MIB, limit,
                              "anonymous-huge"))
    rows.append(ratio_bar("registering it", "register", "huge", 32 * MIB, 1.0,
                          "anonymous"))
    # Debian's kernel has all of them.
    for size in (64, PAGE):
        rows.append(Bar(f"a record, {size_name(size)}: to the best peer", 1.0,
                        lambda f, s=size: best_stream(f, s), (6, 1)))
    for other in ("pipe", "read"):
        rows.append(Bar(f"a record, {size_name(PAGE)}: to {other}", 0.1,
                        lambda f, o=other: f.ratio(
                            "stream", "kubuf-ring", o, PAGE)))
    # Not exact, on a clock on the wall; the bar is the bar all the same.
    for b in BACKINGS:
        rows.append(Bar(f"2 threads against 1, {b}: to memfd (±5 %)", 1.0,
                        lambda f, b=b: f.value("threads-to-memfd",
                                               f"kubuf-{b}", 4 * MIB),
                        margin=1.0))
    rows += [
        Bar("bookkeeping a page, vmalloc, bytes", 8,
            lambda f: f.growth("kubuf-vmalloc", 32 * MIB, PAGE),
            memfd=lambda f: f.growth("memfd", 32 * MIB, PAGE)),
        Bar("bookkeeping a page, pages of 4 MiB, bytes", 8,
            lambda f: f.growth("kubuf-pages", 4 * MIB, PAGE),
            memfd=lambda f: f.growth("memfd", 4 * MIB, PAGE)),
        Bar("bookkeeping for each 2 MiB, huge, bytes", 64,
            lambda f: f.growth("kubuf-huge", 128 * MIB, PMD),
            memfd=lambda f: f.growth("memfd", 128 * MIB, PMD)),
    ]
    return rows


def bar_table(newest, oldest):
    kernels = [newest] + ([oldest] if oldest else [])
    rows = [["case", "bar"] + [f.kernel for f in kernels] + ["", "memfd"]]
    for bar in bars():
        judge = next((f for f in kernels if not bar.kernel or
                      version(f.kernel) == bar.kernel), None)
        if not judge or (bar.counted and not judge.counts):
            continue
        value = bar.get(judge)
        if value is None:
            continue
        # What is not judged is shown all the same, but once only.
        shown = ["" if bar.kernel and f is not judge else number(bar.get(f))
                 for f in kernels]
        memfd = number(bar.memfd(judge)) if bar.memfd else ""
        rows.append([bar.name, number(bar.limit)] + shown +
                    ["met" if bar.met(value) else "NOT MET", memfd])
    return align(rows)


def align(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                      for i, (cell, w) in enumerate(zip(r, widths))).rstrip()
            for r in rows]


def subjects_of(figures, case):
    names = []
    for key in figures.by_key:
        if key[0] == case and key[1] not in names:
            names.append(key[1])
    return names


# Title, case, sizes: the tables of all subjects.
TABLES = [
    ("dense: map, touch each page, unmap; a page", "dense",
     (64 * 1024, 2 * MIB, 4 * MIB, 32 * MIB)),
    ("dense, reading only; a page", "dense-read", (4 * MIB, 32 * MIB)),
    ("sparse: a page in each 2 MiB; a touch", "sparse", (4 * MIB, 32 * MIB)),
    ("one touch: map, touch a byte, unmap", "one-touch",
     (4096, 64 * 1024, 4 * MIB, 32 * MIB)),
    ("the fault of one touch alone", "one-fault",
     (4096, 64 * 1024, 4 * MIB, 32 * MIB)),
    ("longest single fault", "longest-fault", (4 * MIB, 32 * MIB)),
    ("fork, the child touches each page; a page", "fork",
     (4 * MIB, 32 * MIB)),
    ("read()", "read", (64, 4096, 4 * MIB)),
    ("write()", "write", (64, 4096, 4 * MIB)),
    ("create and destroy", "create",
     (4096, 64 * 1024, 4 * MIB, 64 * MIB, 256 * MIB)),
    ("steady state: sum of a mapped and touched buffer; a page", "steady",
     (4 * MIB, 32 * MIB)),
    ("touched, registered with io_uring and given back", "register",
     (4 * MIB, 32 * MIB)),
    ("touched, into a pipe by vmsplice() and to /dev/null; a MiB", "vmsplice",
     (4 * MIB, 32 * MIB)),
    ("file to buffer to file, O_DIRECT; a page", "direct",
     (4 * MIB, 32 * MIB)),
    ("touched, file to buffer to file, O_DIRECT; a MiB", "disk",
     (4 * MIB, 32 * MIB)),
    ("the same by io_uring from a registered buffer; a MiB", "disk-fixed",
     (4 * MIB, 32 * MIB)),
    ("file to buffer to file, read() and write(); a page", "copy",
     (4 * MIB, 32 * MIB)),
    ("consume from the kernel by read(), the sum included", "consume-read",
     (4096, 64 * 1024, 4 * MIB, 32 * MIB)),
    ("consume from the kernel by mapping, the sum included", "consume-map",
     (4096, 64 * 1024, 4 * MIB, 32 * MIB)),
    ("records from the kernel, produced and consumed, the filling not "
     "counted; a record", "stream", (64, 4096)),
    ("bookkeeping, bytes a buffer", "memory",
     (4096, 64 * 1024, 2 * MIB, 4 * MIB, 32 * MIB, 128 * MIB)),
    ("bookkeeping, bytes a buffer, the first ones of all", "memory-first",
     (32 * MIB,)),
    ("faults of one thread, pages a second", "threads-1",
     (4 * MIB,)),
    ("faults of two threads, pages a second", "threads-2",
     (4 * MIB,)),
    ("two threads, times of one", "threads-ratio", (4 * MIB,)),
    ("the same, times of memfd's", "threads-to-memfd", (4 * MIB,)),
]


def column(figures, case, subject, sizes):
    """A row's cells: the figures, and bytes copied and cleared at the last."""
    cells = []
    last = None
    for size in sizes:
        result = figures.result(case, subject, size)
        if result:
            cells.append(result.get("error") or number(result["value"]))
            last = result
        else:
            cells.append("")
    if not any(cells):
        return None
    cells.append(f"{last['faults']:,}")
    cells.append(f"{last['copied']:,}" if last["copied"] else "")
    cells.append(f"{last['zeroed']:,}" if last["zeroed"] else "")
    return cells


def case_tables(figures):
    lines = []
    for title, case, sizes in TABLES:
        rows = [[case] + [size_name(s) for s in sizes] +
                ["faults", "copied", "cleared"]]
        for subject in subjects_of(figures, case):
            cells = column(figures, case, subject, sizes)
            if cells:
                rows.append([subject] + cells)
        if len(rows) == 1:
            continue
        # A column that says nothing is left out.
        for i in reversed(range(1, len(rows[0]))):
            if all(r[i] in ("", "0") for r in rows[1:]):
                for r in rows:
                    del r[i]
        lines += ["", f"{figures.kernel}: {title}", ""] + align(rows)
    absent = [f"{s} ({r['error']})" for (c, s, _), r in figures.by_key.items()
              if c == "absent"]
    if absent:
        lines += ["", f"{figures.kernel}: not there: {', '.join(absent)}"]
    crossing = crossings(figures)
    if crossing:
        lines += ["", f"{figures.kernel}: from which size on mapping is "
                  "cheaper than read()", ""] + align(crossing)
    return lines


def crossings(figures):
    """Where mapping gets cheaper for good, the copy counted and for free."""
    rows = [["subject", "copied byte counted as 1", "copying for free"]]
    for subject in subjects_of(figures, "consume-map"):
        sizes = [k[2] for k in figures.by_key
                 if k[0] == "consume-map" and k[1] == subject]
        points = [None, None]
        for size in sorted(sizes):
            read = figures.result("consume-read", subject, size)
            mapped = figures.value("consume-map", subject, size)
            if not read or read["value"] is None or mapped is None:
                break
            costs = (read["value"], read["value"] - read["copied"])
            for i, cost in enumerate(costs):
                if mapped > cost:
                    points[i] = None
                elif points[i] is None:
                    points[i] = size
        else:
            rows.append([subject] + [size_name(p) if p else "never"
                                     for p in points])
    if not figures.counts:
        rows = [row[:2] for row in rows]
        rows[0][1] = "from"
    return rows if len(rows) > 1 else []


def compare(results, path):
    """Our figures against the ones that were kept; how many are too high."""
    kept = {(version(r["kernel"]), r["case"], r["subject"], r["bytes"]):
            r for r in json.loads(path.read_text())}
    compared = bad = 0
    seen = set()
    for r in counted(results):
        key = (version(r["kernel"]), r["case"], r["subject"], r["bytes"])
        old = kept.get(key)
        if not old:
            continue
        seen.add(r["kernel"])
        compared += 1
        if r["value"] is None or r["value"] > old["value"] * TOLERANCE:
            bad += 1
            print(f"bench: {r['kernel']}: {r['case']}, {r['subject']}, "
                  f"{size_name(r['bytes'])}: {number(r['value'])}, was "
                  f"{number(old['value'])}")
        elif r["value"] * TOLERANCE < old["value"]:
            print(f"bench: {r['kernel']}: {r['case']}, {r['subject']}, "
                  f"{size_name(r['bytes'])}: {number(r['value'])}, better "
                  f"than {number(old['value'])}")
    for kernel in {r["kernel"] for r in results} - seen:
        print(f"bench: {kernel}: nothing to compare with in {path.name}")
    print(f"bench: {compared} figures compared, {bad} more than 3 % above")
    return bad if compared else 1


def counted(results):
    """The figures that are ours and do not wobble."""
    return [r for r in results if r["subject"].startswith("kubuf-") and
            r["unit"].startswith("instructions") and "error" not in r]


def write_chart(directory, name, script, blocks):
    """Run gnuplot on data blocks: name to rows."""
    lines = []
    for block, rows in blocks.items():
        lines.append(f"${block} << EOD")
        lines += ["\t".join(str(c) for c in row) for row in rows]
        lines.append("EOD")
    path = directory / f"{name}.gp"
    output = directory / f"{name}.svg"
    path.write_text("\n".join(lines) + "\n" + f'set output "{output}"\n' +
                    script)
    subprocess.run(["gnuplot", path], check=True)


STYLE = """
set terminal svg size 1000,520 dynamic enhanced background "white" font "sans-serif,13"
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror out scale 0.5
"""


def size_ticks(first):
    """The labels of an axis from some size to 32 MiB."""
    sizes = []
    while first < 32 * MIB:
        sizes.append(first)
        first *= 4
    return ", ".join(f'"{size_name(s)}" {s}' for s in sizes + [32 * MIB]
                     if s != 16 * MIB)


def chart_cost(directory, newest, oldest):
    order = []
    for subject in subjects_of(newest, "dense"):
        size = 32 * MIB
        if newest.value("dense", subject, size) is None:
            size = 4 * MIB
        value = newest.value("dense", subject, size)
        if value is not None:
            old = oldest.value("dense", subject, size) if oldest else None
            order.append((value, subject, size, old))
    order.sort()
    rows = []
    for i, (value, subject, size, old) in enumerate(order):
        label = subject if size == 32 * MIB else f"{subject}, 4 MiB"
        rows.append([i, f'"{label}"', value, old if old else "NaN",
                     f'"{value:.0f}"', f'"{old:.0f}"' if old else '""'])
    shown = [v for row in order for v in (row[0], row[3]) if v]
    low, high = min(shown) / 2, max(shown) * 4
    script = STYLE + f"""
set title "Map, touch each page, unmap: {newest.unit} a page (32 MiB unless said)"
set logscale y
set yrange [{low}:{high}]
set xrange [-0.6:{len(rows) - 0.4}]
set xtics rotate by -35 left
set key top left
set style fill solid 0.9 noborder
set boxwidth 0.38
plot $d using ($1-0.2):3:xtic(2) with boxes lc rgb "#1f6f8b" title "{newest.kernel}", \\
     $d using ($1-0.2):($3*1.12):5 with labels font ",8" notitle"""
    if oldest:
        script += f""", \\
     $d using ($1+0.2):4 with boxes lc rgb "#e0a458" title "{oldest.kernel}", \\
     $d using ($1+0.2):($4*1.12):6 with labels font ",8" notitle"""
    write_chart(directory, "cost", script + "\n", {"d": rows})


def chart_crossing(directory, figures):
    def rows(case, subject, less=None):
        points = []
        for (c, s, size), r in sorted(figures.by_key.items(),
                                      key=lambda item: item[0][2]):
            if c == case and s == subject and r["value"] is not None:
                points.append([size, r["value"] - (r[less] if less else 0)])
        return points

    blocks = {
        "read": rows("consume-read", "kubuf-vmalloc"),
        "free": rows("consume-read", "kubuf-vmalloc", "copied"),
        "huge": rows("consume-map", "kubuf-huge"),
        "vmalloc": rows("consume-map", "kubuf-vmalloc"),
        "memfd": rows("consume-map", "memfd"),
    }
    if not all(blocks.values()):
        return
    titles = [
        ("read", "read(), a copied byte counted as one" if figures.counts
         else "read()", "#c0392b", 1),
        ("free", "read(), copying for free", "#c0392b", 2),
        ("memfd", "map memfd", "#888888", 1),
        ("vmalloc", "map kubuf-vmalloc", "#e0a458", 1),
        ("huge", "map kubuf-huge", "#1f6f8b", 1),
    ]
    plots = ", \\\n     ".join(
        f'${name} using 1:($2/$1) with linespoints pt 7 ps 0.4 lw 2 '
        f'dt {dash} lc rgb "{colour}" title "{title}"'
        for name, title, colour, dash in titles
        if figures.counts or name != "free")
    script = STYLE + f"""
set title "Take N bytes from the kernel and sum them: {figures.unit} a byte ({figures.kernel})"
set logscale xy
set xlabel "N"
set xrange [50:5e7]
set xtics ({size_ticks(64)})
set key top right
plot {plots}
"""
    write_chart(directory, "crossing", script, blocks)


def chart_faults(directory, figures):
    wanted = [("memfd", "#888888"), ("naive", "#bbbbbb"),
              ("anonymous-huge", "#8e44ad"), ("kubuf-vmalloc", "#e0a458"),
              ("kubuf-pages", "#27ae60"), ("kubuf-kmalloc", "#c0392b"),
              ("kubuf-huge", "#1f6f8b")]
    blocks = {}
    plots = []
    for i, (subject, colour) in enumerate(wanted):
        rows = [[size, max(r["faults"], 0.8)]
                for (c, s, size), r in sorted(figures.by_key.items(),
                                              key=lambda item: item[0][2])
                if c == "dense" and s == subject and r["value"] is not None]
        if not rows:
            continue
        blocks[f"d{i}"] = rows
        plots.append(f'$d{i} using 1:2 with linespoints pt 7 ps 0.4 lw 2 '
                     f'lc rgb "{colour}" title "{subject}"')
    if not plots:
        return
    script = STYLE + f"""
set title "Faults to touch each page of a buffer ({figures.kernel})"
set logscale xy
set xlabel "size of the buffer"
set xtics ({size_ticks(PAGE)})
set yrange [0.7:20000]
set key top left
plot """ + ", \\\n     ".join(plots) + "\n"
    write_chart(directory, "faults", script, blocks)


def write_text(lines, path):
    """To a file and to the terminal."""
    text = "\n".join(lines) + "\n"
    path.write_text(text)
    print(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--charts", action="store_true")
    parser.add_argument("--compare", type=pathlib.Path)
    parser.add_argument("--baseline", type=pathlib.Path)
    args = parser.parse_args()

    results = read_results(args.directory)
    if not results:
        sys.exit(f"report.py: no results in {args.directory}")
    if args.baseline:
        write_results(counted(results), args.baseline)
        return
    write_results(results, args.directory / "results.json")

    kernels = sorted({r["kernel"] for r in results}, key=version)
    newest = Figures(results, kernels[-1])
    oldest = Figures(results, kernels[0]) if len(kernels) > 1 else None

    if args.charts:
        tables = case_tables(newest)
        if oldest:
            tables += case_tables(oldest)
        write_text(tables[1:], args.directory / "table.txt")
    write_text(bar_table(newest, oldest), args.directory / "bars.txt")

    if args.charts:
        chart_cost(args.directory, newest, oldest)
        chart_crossing(args.directory, newest)
        chart_faults(args.directory, newest)
        print(f"bench: results.json, table.txt, bars.txt, cost.svg, "
              f"crossing.svg and faults.svg are in "
              f"{args.directory.parent.name}/{args.directory.name}")
    if args.compare:
        sys.exit(1 if compare(results, args.compare) else 0)


main()
