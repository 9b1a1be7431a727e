#!/usr/bin/env python3
"""A second appraiser, written from docs/appraisal.md alone (rules 1).

Reads one JSON object a line and answers each that has evidence with one line:

    {"baseline": TOML, "digest": D, "lists": {D: LIST}, "registry": TOML}     what is judged by from here on
    {"host": ID, "now": MS, "version": 1 or 2, "evidence": EVIDENCE or null}  one question

Numbers in comments are those of the page. Standard library only; Python 3.11 or newer.
"""

import hashlib
import json
import re
import sys
import tomllib
from datetime import datetime, timezone
from fractions import Fraction

RULES = 1

# 2.2, best to worst
OUTCOMES = [
    "not-applicable", "applied", "waived", "pending", "no-fix", "unknown", "absent", "ambiguous", "drifted",
    "not-loaded", "missing", "wrong-variant", "altered", "denied", "stale",
]
RANK = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}

# 2.3
CODES = [
    "agent-too-old", "not-listed", "clock-skew", "stale", "baseline-outdated", "nothing-judged", "denied", "altered",
    "wrong-variant", "fix-missing", "lock-drifted", "setting-drifted", "config-drifted", "lock-ambiguous",
    "setting-ambiguous", "lock-absent", "absent", "not-loaded", "unknown", "no-fix",
]
CODE_RANK = {code: rank for rank, code in enumerate(CODES)}

# Truth: True, False, None for unknown.


# --- 1.3: moments -----------------------------------------------------------------------------------------------

FIRST = 0
LAST = 253_402_207_200_000  # 9999-12-30T22:00:00.000Z


def held(ms):
    return min(max(ms, FIRST), LAST)


def moment(value):
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    delta = value - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def length(text):
    number, unit = re.fullmatch(r"([0-9]+)(ms|s|m|h|d)", text).groups()
    return int(number) * {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[unit]


def written(ms):
    if ms is None:
        return None
    seconds, rest = divmod(ms, 1000)
    stamp = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{rest:03}Z"


# --- 4.2: Kleene ------------------------------------------------------------------------------------------------

def both(values):
    values = list(values)
    if any(value is False for value in values):
        return False
    return None if any(value is None for value in values) else True


def either(values):
    values = list(values)
    if any(value is True for value in values):
        return True
    return None if any(value is None for value in values) else False


# --- 5: values --------------------------------------------------------------------------------------------------

def text_of(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


def spelled(value):
    """5.2: the integer that a value spells, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if re.fullmatch(r"0|-?[1-9][0-9]*", value, re.ASCII):
        number = int(value)
        if -(2**63) <= number < 2**63:
            return number
    return None


def compared(found, expected):
    """5.4"""
    if isinstance(expected, bool):
        if isinstance(found, bool):
            return found == expected
        if isinstance(found, str) and found in ("true", "false"):
            return (found == "true") == expected
        return None
    if isinstance(expected, int):
        number = spelled(found)
        return None if number is None else number == expected
    return text_of(found) == expected


PATTERNS = {}


def test_of(table):
    tests = ("equals", "one_of", "at_least", "at_most", "matches", "present", "absent")
    return next((name, table[name]) for name in tests if name in table)


def fulfilled(test, found):
    """5.5"""
    name, wanted = test
    if name == "equals":
        return compared(found, wanted)
    if name == "one_of":
        return either(compared(found, value) for value in wanted)
    if name in ("at_least", "at_most"):
        number = spelled(found)
        if number is None:
            return None
        return number >= wanted if name == "at_least" else number <= wanted
    if name == "matches":
        pattern = PATTERNS.setdefault(wanted, re.compile(wanted))
        return pattern.fullmatch(text_of(found)) is not None
    return name == "present"


BLANKS = "".join(map(chr, range(0x09, 0x0E))) + "\x20\x85\xa0\u3000"
NARROW = {0xFEE0 + code: code for code in range(0x21, 0x7F)}
LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def plain(text):
    return text.strip(BLANKS).translate(NARROW).translate(LOWER)


def numbers(text):
    """5.6: the numbers of a plain text."""
    rest = text.replace("_", "")
    negative = rest.startswith("-")
    if rest[:1] in ("-", "+"):
        rest = rest[1:]
    found = set()
    for prefix, base in (("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)):
        if rest.startswith(prefix):
            digits = rest[len(prefix):]
            allowed = "0123456789abcdef"[:base]
            if digits and all(digit in allowed for digit in digits) and int(digits, base) < 2**128:
                found.add(Fraction(int(digits, base)))
    mantissa, mark, exponent = rest.partition("e")
    power = 0
    if mark:
        power = int(exponent) if re.fullmatch(r"[+-]?[0-9]+", exponent, re.ASCII) else None
        if power is not None and not -(2**63) <= power < 2**63:
            power = None
    if power is not None and re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", mantissa, re.ASCII):
        if abs(power) < 10_000:
            found.add(Fraction(mantissa if not mantissa.endswith(".") else mantissa[:-1]) * Fraction(10) ** power)
    return {-number for number in found} if negative else found


SAYS = {word: True for word in ("true", "yes", "on", "1")} | {word: False for word in ("false", "no", "off", "0")}


def read_alike(one, other):
    one, other = plain(one), plain(other)
    if one == other:
        return True
    if one in SAYS and other in SAYS and SAYS[one] == SAYS[other]:
        return True
    return bool(numbers(one) & numbers(other))


def holds_of_fact(test, found):
    """4.3"""
    truth = fulfilled(test, found)
    name, wanted = test
    if truth is False and name in ("equals", "one_of"):
        texts = wanted if name == "one_of" else [wanted]
        if any(isinstance(text, str) and read_alike(text_of(found), text) for text in texts):
            return None
    return truth


# --- 6: versions ------------------------------------------------------------------------------------------------

SEMVER = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(?:-((?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)


def sign(a, b):
    return (a > b) - (a < b)


def semver(text):
    match = SEMVER.fullmatch(text)
    if not match or any(int(number) >= 2**64 for number in match.group(1, 2, 3)):
        return None
    before = match.group(4)
    # Without a pre-release it is after every one with; numbers are before words.
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split(".")] if before else []
    return (*map(int, match.group(1, 2, 3)), (0, parts) if before else (1, []))


def vl(text):
    match = re.fullmatch(r"V([0-9]+)L([0-9]+)([A-Z]?)", text, re.ASCII)
    if not match or any(int(number) >= 2**32 for number in match.group(1, 2)):
        return None
    return (int(match.group(1)), int(match.group(2)), match.group(3))


def dpkg(text):
    epoch, rest = 0, text
    match = re.match(r"([0-9]+):(?=.)", text, re.ASCII)
    if match:
        epoch, rest = int(match.group(1)), text[match.end():]
        if epoch >= 2**32:
            return None
    upstream, mark, revision = rest.rpartition("-")
    if not (mark and upstream and re.fullmatch(r"[A-Za-z0-9+.~]+", revision)):
        upstream, revision = rest, "0"
    if not re.fullmatch(r"[A-Za-z0-9.+:~-]+", upstream):
        return None
    return (epoch, upstream, revision)


def dpkg_weight(character):
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 256


def dpkg_part(a, b):
    while a or b:
        heads = [re.match(r"[^0-9]*", text).group() for text in (a, b)]
        weights = [[dpkg_weight(character) for character in head] for head in heads]
        longest = max(map(len, weights))
        for weight in weights:
            weight.extend([0] * (longest - len(weight)))
        if weights[0] != weights[1]:
            return sign(weights[0], weights[1])
        a, b = a[len(heads[0]):], b[len(heads[1]):]
        runs = [re.match(r"[0-9]*", text).group() for text in (a, b)]
        if bool(runs[0]) != bool(runs[1]):
            return 1 if runs[0] else -1
        if runs[0] and int(runs[0]) != int(runs[1]):
            return sign(int(runs[0]), int(runs[1]))
        a, b = a[len(runs[0]):], b[len(runs[1]):]
    return 0


def rpm(text):
    if not all("!" <= character <= "~" for character in text):
        return None
    epoch, mark, rest = text.partition(":")
    if not mark:
        epoch, rest = "", text
    version, _, release = rest.partition("-")
    return (epoch or "0", version, release)


def rpm_part(a, b):
    if a == b:
        return 0
    while True:
        a, b = (re.sub(r"^[^A-Za-z0-9~^]+", "", text) for text in (a, b))
        if a.startswith("~") != b.startswith("~"):
            return -1 if a.startswith("~") else 1
        if a.startswith("~"):
            a, b = a[1:], b[1:]
            continue
        if a.startswith("^") != b.startswith("^"):
            if a.startswith("^"):
                return 1 if not b else -1
            return -1 if not a else 1
        if a.startswith("^"):
            a, b = a[1:], b[1:]
            continue
        if not a or not b:
            break
        digits = a[0] in "0123456789"
        run = r"[0-9]*" if digits else r"[A-Za-z]*"
        runs = [re.match(run, text).group() for text in (a, b)]
        if not runs[1]:
            return 1 if digits else -1
        a, b = a[len(runs[0]):], b[len(runs[1]):]
        if digits:
            runs = [digits.lstrip("0") for digits in runs]
            if len(runs[0]) != len(runs[1]):
                return sign(len(runs[0]), len(runs[1]))
        if runs[0] != runs[1]:
            return sign(runs[0], runs[1])
    return sign(len(a), len(b))


PARSERS = {"semver": semver, "vl": vl, "dpkg": dpkg, "rpm": rpm}


def version(text, scheme):
    """6.1: a version, or None."""
    return PARSERS[scheme](text) if 1 <= len(text.encode()) <= 128 else None


def order(scheme, a, b):
    if scheme == "dpkg":
        return sign(a[0], b[0]) or dpkg_part(a[1], b[1]) or dpkg_part(a[2], b[2])
    if scheme == "rpm":
        return rpm_part(a[0], b[0]) or rpm_part(a[1], b[1]) or rpm_part(a[2], b[2])
    return sign(a, b)


def in_range(scheme, range_text, found):
    """6.6"""
    for comparison in range_text.split(","):
        operator, bound = re.fullmatch(r"(>=|<=|>|<|=)(.*)", comparison.strip(), re.DOTALL).groups()
        compared_to = order(scheme, found, version(bound.strip(), scheme))
        holds = {
            ">=": compared_to >= 0, "<=": compared_to <= 0, ">": compared_to > 0, "<": compared_to < 0,
            "=": compared_to == 0,
        }
        if not holds[operator]:
            return False
    return True


# --- 10: recognising a tree -------------------------------------------------------------------------------------

def escaped(path):
    return path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def list_digest(entries):
    lines = []
    for path in sorted(entries, key=lambda path: path.encode()):
        mark = "\\" if any(character in path for character in "\\\n\r") else ""
        lines.append(f"{mark}{entries[path]}  {escaped(path)}\n")
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def list_entries(text):
    entries = {}
    for line in text.split("\n")[:-1]:
        is_escaped = line.startswith("\\")
        digest, _, path = line[is_escaped:].partition("  ")
        if is_escaped:
            path = re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r", "\\": "\\"}[m.group(1)], path)
        entries[path] = digest
    return entries


def builds(program, lists):
    """Digest to (release, ids of patches)."""
    scheme = program.get("scheme", "semver")
    releases = program["release"]
    patches = program.get("patch", [])
    made = {}  # digest -> {index of release: set of patches}
    for index, release in enumerate(releases):
        own = version(release["version"], scheme)
        over = [
            patch for patch in patches
            if any(order(scheme, own, version(text, scheme)) == 0 for text in patch["over"])
        ]
        if not over:
            continue
        entries = list_entries(lists[release["tree"]])
        for chosen in range(1, 1 << len(over)):
            some = [patch for bit, patch in enumerate(over) if chosen >> bit & 1]
            replaced, contradictory = {}, False
            for patch in some:
                for path, digest in patch["replaces"].items():
                    contradictory |= replaced.setdefault(path, digest) != digest
            if contradictory:
                continue
            tree = dict(entries)
            tree.update({path: digest.removeprefix("sha256:") for path, digest in replaced.items()})
            by_release = made.setdefault(list_digest(tree), {})
            by_release.setdefault(index, set()).update(patch["id"] for patch in some)
    known = {}
    for index, release in enumerate(releases):
        known[release["tree"]] = (release, made.get(release["tree"], {}).get(index, set()))
    for digest, by_release in made.items():
        if digest in known:
            continue
        denied = [index for index in sorted(by_release) if "denied" in releases[index]]
        first = (denied or sorted(by_release))[0]
        known[digest] = (releases[first], by_release[first])
    return known


# --- 11: canonical JSON -----------------------------------------------------------------------------------------

def canonical(value):
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in sorted(value)) + "}"


def state_digest(state):
    return "sha256:" + hashlib.sha256(canonical(state).encode()).hexdigest()


# --- 12: version 1 ----------------------------------------------------------------------------------------------

def empty():
    return {"older": [], "elsewhere": [], "unknown": [], "more": 0}


def loaded_of_1(program, loaded):
    """12.2"""
    have = empty()
    if loaded in ("current", "not-running"):
        return {"current": "running", "not-running": "not-running"}[loaded], have
    if "older" in loaded:
        have["older"].append(loaded["older"]["file"])
        return "running", have
    if "elsewhere" in loaded:
        have["elsewhere"].append(loaded["elsewhere"]["file"])
        return "running", have
    have["unknown"].append(program)
    return {"unknown": loaded["unknown"]}, have


def from_1(state, baseline):
    programs, older = {}, set()
    for name, seen in state["programs"].items():
        processes, have = loaded_of_1(name, seen["loaded"])
        older.update(have["older"])
        programs[name] = {
            "tree": seen["tree"], "processes": processes, "loaded": have, "trees": [], "findings": seen["findings"],
        }
    files = {}
    for path, content in state["files"].items():
        have = empty()
        if path in older:
            have["older"].append(path)
        files[path] = {"content": content, "loaded": have}
    readers = {}
    for config in baseline.get("config", []):
        have = empty()
        for program in baseline.get("program", []):
            if config.get("program", program["id"]) != program["id"]:
                continue
            if program["id"] not in programs:
                have["unknown"].append(program["id"])
                continue
            for kind in ("older", "elsewhere", "unknown"):
                if kind == "older" and config.get("reload", "restart") == "live":
                    continue
                have[kind] += programs[program["id"]]["loaded"][kind]
        readers[config["id"]] = have
    return state | {"programs": programs, "files": files, "readers": readers}


# --- 7: what processes have -------------------------------------------------------------------------------------

def failing(have, elsewhere):
    """7.1"""
    found = []
    if have["elsewhere"]:
        found.append(elsewhere)
    if have["older"]:
        found.append("not-loaded")
    if have["unknown"]:
        found.append("unknown")
    if not found and have["more"]:
        found.append("unknown")
    return found


def not_as_it_runs(seen):
    """7.2"""
    found = failing(seen["loaded"], "altered")
    if seen["trees"]:
        found.append("not-loaded")
    if isinstance(seen["processes"], dict):
        found.append("unknown")
    return found


# --- 9: together, waivers, codes --------------------------------------------------------------------------------

NOT_WAIVED = {"unknown", "absent", "ambiguous", "denied", "stale"}


class Found:
    """An outcome, and what waivers do not reach of it."""

    def __init__(self, outcome):
        self.outcome = outcome
        self.beyond = outcome if outcome in NOT_WAIVED else None

    def and_(self, other):
        joined = Found(worst([self.outcome, other.outcome]))
        joined.beyond = worst([beyond for beyond in (self.beyond, other.beyond) if beyond])
        return joined


def worst(outcomes):
    return max(outcomes, key=RANK.__getitem__, default=None)


def together(outcomes):
    found = [outcome if isinstance(outcome, Found) else Found(outcome) for outcome in outcomes]
    joined = found[0]
    for other in found[1:]:
        joined = joined.and_(other)
    return joined


def code_of(kind, outcome):
    """9.5"""
    if outcome in ("not-applicable", "applied", "waived", "pending"):
        return None
    if outcome == "missing":
        return "fix-missing"
    if outcome == "drifted":
        return {"lock": "lock-drifted", "config": "config-drifted"}.get(kind, "setting-drifted")
    if outcome == "ambiguous":
        return "lock-ambiguous" if kind == "lock" else "setting-ambiguous"
    if outcome == "absent":
        return "lock-absent" if kind == "lock" else "absent"
    return outcome


# --- the judge --------------------------------------------------------------------------------------------------

class Rules:
    """A baseline with its registry, ready to judge by."""

    def __init__(self, message):
        self.baseline = tomllib.loads(message["baseline"])
        self.digest = message["digest"]
        self.registry = registry(message["registry"])
        of = lambda table: {entry["id"]: entry for entry in self.baseline.get(table, [])}
        self.configs, self.facts, self.programs, self.settings = map(of, ("config", "fact", "program", "setting"))
        self.builds = {name: builds(program, message["lists"]) for name, program in self.programs.items()}
        self.max_age = length(self.baseline.get("gate", {}).get("evidence_max_age", "10m"))

    def items(self):
        """2.1"""
        for fix in self.baseline.get("fix", []):
            yield "fix", fix
        for setting in self.baseline.get("setting", []):
            yield "lock" if setting.get("kind") == "exclusive-lock" else "setting", setting
        for program in self.baseline.get("program", []):
            yield "program", program
        for config in self.baseline.get("config", []):
            if config.get("pinned"):
                yield "config", config

    def answer(self, host, evidence, now):
        entry = listed(self.registry, host, now)
        if entry is None:  # 3.1
            return {"verdict": "hold", "reasons": [["not-listed", None]], "warnings": [], "items": [], "changes_at": None}
        if evidence is not None:
            cover = evidence["cover"]
            if cover["product"] != self.baseline["product"] or cover["host"] != host:  # 3.2
                evidence = None
        changes = [entry["changes_at"]]
        if evidence is None or now > held(moment(evidence["cover"]["pass_started"]) + self.max_age):  # 3.4
            items = [
                [item["id"], kind, "stale", "hold" if item.get("enforce", "hold") == "hold" else "issue", "stale", None]
                for kind, item in self.items()
            ]
            reasons, warnings = [["stale", None]], []
        else:
            items, reasons, warnings, moments = self.fresh(host, entry, evidence, now)
            changes += moments
        reasons.sort(key=lambda reason: (CODE_RANK[reason[0]], reason[1] is not None, (reason[1] or "").encode()))
        holds = bool(reasons) or any(item[3] == "hold" for item in items)
        return {
            "verdict": "hold" if holds else "issue",
            "reasons": reasons,
            "warnings": warnings,
            "items": items,
            "changes_at": written(min((at for at in changes if at is not None), default=None)),
        }

    def fresh(self, host, entry, evidence, now):
        cover, reasons = evidence["cover"], []
        started = moment(cover["pass_started"])
        if semver(cover["agent"]["version"]) < semver(self.baseline.get("min_agent", "0.0.0")):
            reasons.append(["agent-too-old", None])
        if cover["baseline"] != self.digest:
            reasons.append(["baseline-outdated", None])
        if started > held(now + 60_000):
            reasons.append(["clock-skew", None])
        moments = [at for at in (held(held(started + self.max_age) + 1), held(started - 60_000)) if at > now]
        judge = Judge(self, host, entry, evidence["state"], now)
        items, concerned = [], False
        for kind, item in self.items():
            judged, at, known = judge.item(kind, item)
            items.append(judged)
            moments.append(at)
            concerned |= known
            if judged[3] == "hold":
                reasons.append([judged[4], judged[0]])
        if not concerned:
            reasons.append(["nothing-judged", None])
        warnings = [["not-running", program["id"]] for program in self.programs.values() if judge.is_asleep(program)]
        return items, reasons, warnings, moments


class Judge:
    """One host's fresh state."""

    def __init__(self, rules, host, entry, state, now):
        self.rules, self.host, self.entry, self.state, self.now = rules, host, entry, state, now
        self.memory = {}

    # 4

    def known(self, name):
        """4.4: the value of a fact in a list, or an empty one."""
        fact = self.rules.facts[name]
        if fact.get("registry") == "topology":
            value = self.entry["topology"]
        else:
            seen = self.state["facts"].get(name)
            if seen is None or "value" not in seen:
                return []
            if self.not_loaded(self.rules.configs[fact["config"]]):
                return []
            value = seen["value"]["value"]
        if "one_of" in fact and not any(compared(value, one) is True for one in fact["one_of"]):
            return []
        return [value]

    def truth(self, condition):
        if condition is None:
            return True
        if "all" in condition:
            return both(self.truth(one) for one in condition["all"])
        if "any" in condition:
            return either(self.truth(one) for one in condition["any"])
        if "not" in condition:
            inner = self.truth(condition["not"])
            return None if inner is None else not inner
        value = self.known(condition["fact"])
        return holds_of_fact(test_of(condition), value[0]) if value else None

    def concern(self, item):
        """4.1"""
        if "roles" in item and not set(item["roles"]) & set(self.entry["roles"]):
            return False
        if "sites" in item and self.host[:6] not in item["sites"]:
            return False
        return self.truth(item.get("when"))

    # 7.3

    def not_loaded(self, config):
        have = self.state["readers"].get(config["id"])
        return ["unknown"] if have is None else failing(have, "not-loaded")

    # 8

    def item(self, kind, item):
        concern = self.concern(item)
        if kind in ("lock", "setting"):
            concern = both([self.concern(self.rules.configs[item["config"]]), concern])  # 4.9
        if concern is False and kind != "program":
            found = Found("not-applicable")
        elif concern is False:
            found = self.elsewhere(item)
        else:
            found = self.judged(kind, item)
            # 4.7
            if concern is None:
                certain = found.outcome in ("pending", "no-fix", "denied")
                found = Found("unknown" if RANK[found.outcome] > RANK["applied"] and not certain else found.outcome)
        may_be_bad = kind == "program" and self.may_be_bad(item)
        if may_be_bad:
            found.beyond = worst([found.beyond or "unknown", "unknown"])
        judged, at = self.finish(kind, item, found, may_be_bad)
        return judged, at, concern is True

    def judged(self, kind, item):
        if kind == "fix":
            return self.fix(item)
        if kind == "program":
            return self.program(item, None)
        if kind == "config":
            return self.pinned(item)
        return self.setting(item)

    def fix(self, fix):
        if "required_from" in fix and self.now < moment(fix["required_from"]):
            return Found("pending")
        if "no_fix_yet" in fix:
            return Found("no-fix")
        return together([self.requirement(requirement) for requirement in fix["requires"]])

    def requirement(self, requirement):
        if "program" in requirement:
            return self.program(self.rules.programs[requirement["program"]], requirement)
        if "setting" in requirement:
            return self.setting(self.rules.settings[requirement["setting"]])
        if "file" in requirement:
            seen = self.state["files"].get(requirement["file"])
            if seen is None:
                return Found("unknown")
            content = seen["content"]
            if content == "absent":
                return Found("missing")
            if "unknown" in content:
                return Found("unknown")
            if content["digest"] not in requirement["sha256"]:
                return Found("missing")
            return together(failing(seen["loaded"], "not-loaded") or ["applied"])
        seen, scheme = self.state["packages"].get(requirement["package"]), requirement["database"]
        if seen == "absent":
            return Found("missing")
        if seen is None or "unknown" in seen:
            return Found("unknown")
        found = version(seen["version"], scheme)
        if found is None:
            return Found("unknown")
        before = order(scheme, found, version(requirement["at_least"], scheme)) < 0
        return Found("missing" if before else "applied")

    def setting(self, setting):
        seen = self.state["settings"].get(setting["id"])
        if seen is None:
            return Found("unknown")
        config = self.rules.configs[setting["config"]]
        in_files = self.in_files(setting, config, seen["value"])
        if in_files != "applied":
            return Found(in_files)
        found = ["applied"]
        if "in_force" in setting:
            found.append(self.in_force(seen))
        told = isinstance(seen.get("in_force"), dict) and "value" in seen["in_force"]
        if not ("in_force" in setting and told):
            found += self.not_loaded(config)
        return together(found)

    def in_files(self, setting, config, value):
        test = test_of(setting["expect"])
        if value == "absent":
            return "applied" if test[0] == "absent" else "absent"
        if "value" in value:
            return {True: "applied", None: "unknown", False: "drifted"}[fulfilled(test, value["value"]["value"])]
        if "sealed" in value:
            if not (setting.get("sensitive", False) or config.get("sensitive", False)):
                return "unknown"
            return "applied" if value["sealed"]["as_expected"] else "drifted"
        return "ambiguous" if "ambiguous" in value else "unknown"

    def in_force(self, seen):
        """8.3"""
        told, value = seen.get("in_force"), seen["value"]
        if told is None or (told != "not-running" and "unknown" in told):
            return "unknown"
        if told == "not-running":
            return "applied"
        if value == "absent":
            return "drifted"
        if "value" in value:
            same = compared(told["value"], value["value"]["value"])
            return {True: "applied", None: "unknown", False: "drifted"}[same]
        return "unknown"

    def recognised(self, program, digest):
        return self.rules.builds[program["id"]].get(digest)

    def is_denied(self, program, seen):
        digests = list(seen["trees"])
        if isinstance(seen["tree"], dict) and "digest" in seen["tree"]:
            digests.append(seen["tree"]["digest"])
        found = (self.recognised(program, digest) for digest in digests)
        return any(known is not None and "denied" in known[0] for known in found)

    def program(self, program, asked):
        """8.4"""
        seen = self.state["programs"].get(program["id"])
        if seen is None:
            return Found("unknown")
        if self.is_denied(program, seen):
            return Found("denied")
        tree = seen["tree"]
        if tree == "absent":
            return Found("absent")
        if "unknown" in tree:
            return Found("unknown")
        known = self.recognised(program, tree["digest"])
        if known is None:
            return Found("altered")
        release, patches = known
        belongs = self.truth(release.get("when"))
        if belongs is not True:
            return Found("wrong-variant" if belongs is False else "unknown")
        if asked is not None:
            scheme = program.get("scheme", "semver")
            has_fix = in_range(scheme, asked["fixed_in"], version(release["version"], scheme))
            if not has_fix and asked.get("or_patch") not in patches:
                return Found("missing")
        return together(not_as_it_runs(seen) or ["applied"])

    def has_bad(self, program):
        return any("denied" in release for release in program["release"])

    def elsewhere(self, program):
        """8.5"""
        seen = self.state["programs"].get(program["id"])
        if seen is None:
            return Found("unknown")
        if self.is_denied(program, seen):
            return Found("denied")
        if isinstance(seen["tree"], dict) and "unknown" in seen["tree"]:
            return Found("unknown")
        if self.has_bad(program) and not_as_it_runs(seen):
            return Found("unknown")
        return Found("not-applicable")

    def may_be_bad(self, program):
        """8.6"""
        if not self.has_bad(program):
            return False
        seen = self.state["programs"].get(program["id"])
        if seen is None or isinstance(seen["tree"], dict) and "unknown" in seen["tree"]:
            return True
        return "unknown" in not_as_it_runs(seen)

    def is_asleep(self, program):
        """3.6"""
        seen = self.state["programs"].get(program["id"])
        expected = program.get("expect_running", False) and self.concern(program) is not False
        return expected and seen is not None and seen["processes"] == "not-running"

    def pinned(self, config):
        """8.7"""
        seen = self.state["configs"].get(config["id"])
        if seen == "absent":
            return Found("absent")
        if seen is None or "unknown" in seen:
            return Found("unknown")
        if seen["digest"] not in config["pinned"]:
            return Found("drifted")
        return together(self.not_loaded(config) or ["applied"])

    # 9

    def finish(self, kind, item, found, may_be_bad):
        outcome, code, waived = found.outcome, code_of(kind, found.outcome), None
        end = None
        reachable = ("missing", "wrong-variant", "not-loaded", "drifted", "altered", "no-fix")
        if outcome in reachable and kind != "lock" and item.get("waivable", True):
            ends = [
                moment(waiver["until"]) for waiver in self.rules.baseline.get("waiver", [])
                if waiver["item"] == item["id"] and self.host in waiver["hosts"]
            ]
            end = max((at for at in ends if at > self.now), default=None)
        if end is not None:
            if found.beyond is None:
                outcome, waived = "waived", end
            else:
                outcome, code = found.beyond, code_of(kind, found.beyond)
        due = moment(item["no_fix_yet"]["due"]) if "no_fix_yet" in item else None
        if outcome in ("not-applicable", "applied", "waived", "pending"):
            holds = False
        elif outcome == "no-fix":
            holds = due <= self.now
        else:
            holds = True
        enforced = item.get("enforce", "hold") == "hold" or kind == "lock" or outcome == "denied" or may_be_bad
        if outcome == "pending":
            at = moment(item["required_from"])
        elif outcome == "no-fix" and enforced:
            at = due if due > self.now else None
        else:
            at = end
        verdict = "hold" if holds and enforced else "issue"
        return [item["id"], kind, outcome, verdict, code, written(waived)], at


# --- 3.8: the registry ------------------------------------------------------------------------------------------

REGISTRIES = {}


def registry(text):
    if text not in REGISTRIES:
        hosts = []
        for host in tomllib.loads(text)["host"]:
            left = moment(host["left"]) if "left" in host else None
            hosts.append({"id": host["id"], "roles": host["roles"], "joined": moment(host["joined"]), "left": left})
        REGISTRIES[text] = hosts
    return REGISTRIES[text]


def listed(hosts, host, now):
    of_site = [entry for entry in hosts if entry["id"][:6] == host[:6]]
    is_listed = lambda entry: entry["joined"] <= now and (entry["left"] is None or now < entry["left"])
    entry = next((entry for entry in of_site if entry["id"] == host and is_listed(entry)), None)
    if entry is None:
        return None
    moments = [at for other in of_site for at in (other["joined"], other["left"]) if at is not None and at > now]
    topology = "single" if sum(map(is_listed, of_site)) <= 1 else "split"
    return {"roles": entry["roles"], "topology": topology, "changes_at": min(moments, default=None)}


def main():
    rules = None
    for line in sys.stdin:
        message = json.loads(line)
        if "baseline" in message:
            rules = Rules(message)
            continue
        evidence = message["evidence"]
        shown = None if evidence is None else state_digest(evidence["state"])
        if evidence is not None and message["version"] == 1:
            evidence = evidence | {"state": from_1(evidence["state"], rules.baseline)}
        answer = rules.answer(message["host"], evidence, message["now"])
        print(json.dumps(answer | {"state": shown}), flush=True)


if __name__ == "__main__":
    main()
