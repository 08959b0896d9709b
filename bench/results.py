"""Figures of a run: pairs of values, ours beside a peer's, and their ratio; written as JSON and as Markdown."""
import datetime
import json
import os
import pathlib
import platform
import statistics

DIRECTORY = pathlib.Path(__file__).resolve().parent / "results"


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")),
                 platform.machine())
    memory = int(open("/proc/meminfo", encoding="utf-8").readline().split()[1]) // (1024 * 1024)
    return f"{os.cpu_count()} cores ({model}), {memory} GB, Linux {platform.release().split('-')[0]}"


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def short(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class Figure:
    """One row. `better`: "more" or "less". `target`: bound of the ratio; `limit`: bound of our own value. `detail`: in
    the JSON only, so that the table stays readable."""

    def __init__(self, label, unit, peer="", better="less", target=None, limit=None, detail=False):
        self.detail = detail
        self.label, self.unit, self.peer, self.better, self.target, self.limit = label, unit, peer, better, target, limit
        self.ours, self.theirs = [], []

    def add(self, ours, theirs=None):
        self.ours.append(ours)
        if theirs is not None:
            self.theirs.append(theirs)

    def ratios(self):
        return [a / b for a, b in zip(self.ours, self.theirs) if b > 0]

    def _within(self, value, bound):
        return value >= bound if self.better == "more" else value <= bound

    def verdict(self):
        checks = []
        if self.target is not None and self.ratios():
            checks.append(self._within(statistics.median(self.ratios()), self.target))
        if self.limit is not None:
            checks.append(self._within(statistics.median(self.ours), self.limit))
        return None if not checks else all(checks)

    def to_json(self):
        out = {"label": self.label, "unit": self.unit, "better": self.better, "detail": self.detail, "ours": spread(self.ours)}
        if self.theirs:
            out |= {"peer": self.peer, "theirs": spread(self.theirs), "ratio": spread(self.ratios())}
        for name in ("target", "limit"):
            if getattr(self, name) is not None:
                out[name] = getattr(self, name)
        if self.verdict() is not None:
            out["reached"] = self.verdict()
        return out


class Topic:
    """The figures that one benchmark brings, filled round by round."""

    def __init__(self, name, title):
        self.name, self.title = name, title
        self.figures, self.notes = {}, []
        self.loads = [os.getloadavg()[0]]

    def figure(self, label, unit, **more):
        return self.figures.setdefault((label, more.get("peer", "")), Figure(label, unit, **more))

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def round_done(self):
        self.loads.append(os.getloadavg()[0])

    def write(self, rounds, quick):
        self.figures = {key: figure for key, figure in self.figures.items() if figure.ours}
        if not self.figures:
            return
        DIRECTORY.mkdir(exist_ok=True)
        document = {"name": self.name, "title": self.title,
                    "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"), "machine": machine(), "cores": os.cpu_count(), "rounds": rounds, "quick": quick,
                    "load_average": spread(self.loads), "notes": self.notes,
                    "figures": [figure.to_json() for figure in self.figures.values()]}
        path = DIRECTORY / f"{self.name}.json"
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def values(entry):
    if entry["min"] == entry["max"]:
        return short(entry["median"])
    return f"{short(entry['median'])} ({short(entry['min'])} … {short(entry['max'])})"


def row(figure):
    aim = []
    sign = "≥" if figure["better"] == "more" else "≤"
    if "target" in figure:
        aim.append(f"ratio {sign} {figure['target']}")
    if "limit" in figure:
        aim.append(f"{sign} {short(figure['limit'])} {figure['unit']}")
    reached = {True: "yes", False: "**no**", None: ""}[figure.get("reached")]
    peer = figure.get("peer", "").replace("|", "\\|")
    theirs = f"{peer}: {values(figure['theirs'])}" if "theirs" in figure else ""
    ratio = f"{figure['ratio']['median']:.2f} ({figure['ratio']['min']:.2f} … {figure['ratio']['max']:.2f})" if "ratio" in figure else ""
    return f"| {figure['label']} | {figure['unit']} | {values(figure['ours'])} | {theirs} | {ratio} | {', '.join(aim)} | {reached} |"


def section(document):
    lines = [f"## {document['title']}", "",
             f"{document['date']} · {document['machine']} · {document['rounds']} rounds{', quick' if document['quick'] else ''}"
             f" · load average {document['load_average']['min']:.1f} … {document['load_average']['max']:.1f}", "",
             "| figure | unit | ours | peer | ratio ours/peer | wanted | reached |", "| --- | --- | --- | --- | --- | --- | --- |"]
    lines += [row(figure) for figure in document["figures"] if not figure["detail"]]
    lines += [""] + [f"- {note}" for note in document["notes"]] + ([""] if document["notes"] else [])
    return "\n".join(lines)


def write_table():
    """results/README.md out of all topics' JSON, also those of earlier runs. Returns its text."""
    order = ["locks", "fanout", "commit", "pgbench", "capture"]
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(DIRECTORY.glob("*.json"))]
    documents.sort(key=lambda document: order.index(document["name"]) if document["name"] in order else len(order))
    text = "# Figures\n\nMade by `bench/run`; `../README.md` says what they mean. Median over the rounds (min … max).\n\n"
    text += "\n".join(section(document) for document in documents)
    (DIRECTORY / "README.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    return text
