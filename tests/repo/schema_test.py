#!/usr/bin/env python3
"""The JSON schema that modelguardd prints is a schema, refuses nothing that `--validate` takes, names the same keys, and refuses what a
schema can: unknown keys, missing ones, values of a wrong type, out of range or not among the choices, for every section and every kind."""
import concurrent.futures
import copy
import json
import pathlib
import re
import subprocess
import sys
import tempfile

try:
    import jsonschema
    import yaml
except ImportError as missing:
    print(f"not run: {missing} (packaging/install-deps test)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))
DAEMON = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build/dev/supervisor/daemon/modelguardd"
# What manifests of the tests name besides their own model's.
DEVICE = """\
units: [shared-server.service]
addresses: [192.0.2.7:9000, models.lan, models.example]
commands: {disk-space: {argv: [/bin/true]}, reload-digits: {argv: [/bin/true]}}
"""
# Where any text would not do; a kind without a line here gets what the type of each parameter says.
VALUES = {"run": "disk-space", "url": "http://127.0.0.1:80/", "address": "127.0.0.1:80", "unit": "digits.service", "container": "digits",
          "canary": "canary/digits.jsonl", "path": "/etc/hostname", "pointer": "/a", "body": "{}", "name": "digits"}
# What these kinds want besides, which no table says.
BESIDES = {"accuracy": {"min": 0.5}, "latency": {"max": "50ms"}, "resource": {"max": "512MiB"}, "metrics": {"max": 1}}


class Loader(yaml.SafeLoader):
    """Scalars as YAML 1.2's core schema has them, and editors: `off` and 0o17 are text."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (("bool", r"^(?:true|false)$", "tf"), ("null", r"^(?:~|null|)$", ["~", "n", ""]),
                            ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
                            ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789"))):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)


def printed(option):
    return json.loads(subprocess.run([DAEMON, option], capture_output=True, text=True, check=True).stdout)


class Both:
    """What the daemon and the schema say of one text."""

    def __init__(self, folder):
        (folder / "etc/modelguard").mkdir(parents=True)
        (folder / "etc/modelguard/modelguard.yaml").write_text(DEVICE)
        self.folder = folder
        self.schema = printed("--schema")
        jsonschema.Draft7Validator.check_schema(self.schema)
        self.validator = jsonschema.Draft7Validator(self.schema)

    def daemon(self, text):
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".yaml") as file:
            file.write(text)
            file.flush()
            done = subprocess.run([DAEMON, "--root", self.folder, "--validate", file.name], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode == 0, done.stdout.replace(file.name, "FILE")

    def refusal(self, document):
        """The first thing the schema has against it, or None."""
        error = jsonschema.exceptions.best_match(self.validator.iter_errors(document))
        return None if error is None else f"{list(error.absolute_path)}: {error.message[:200]}"


def manifests_of_the_tree():
    """(where, text) of what the documents and tests hold, right and wrong."""
    for block in re.findall(r"^```yaml\n(model:.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S):
        yield "README.md", block
    page = (ROOT / "packaging/man/modelguard-model.5.in").read_text()
    for block in re.findall(r"^\.EX\n(model:.*?)^\.EE", page, re.M | re.S):
        yield "modelguard-model.5", block.replace("\\-", "-")
    import device
    yield "tests/support/device.py", device.MANIFEST.format(port=8080, ready_within="3s", period="200ms", max_latency="50ms", samples=20,
                                                            soak="300ms")
    for file in sorted((ROOT / "tests").glob("**/*.[ch]pp")):
        for text in re.findall(r'R"\((model: .*?)\)"', file.read_text(), re.S):
            yield str(file.relative_to(ROOT)), text
    for file in sorted((ROOT / "tests/fuzz/corpus/manifest").glob("*.yaml")):
        yield str(file.relative_to(ROOT)), file.read_text(errors="replace")


def good_value(param):
    if param.get("choices"):
        return param["choices"][0]
    low, high = param.get("minimum", 1), param.get("maximum", 1)
    number = min(max(1, low), high)
    return {"boolean": True, "integer": int(number), "number": number, "text": VALUES.get(param["name"], "a"),
            "duration": f"{max(1, low):g}s", "list of text": ["1"], "object": {}}[param["type"]]


def wrong_values(param):
    """Values that neither takes."""
    wrong = {"boolean": ["yes", 1], "integer": ["a", 1.5, True], "number": ["a", True], "text": [["a"], {"a": 1}, ""],
             "duration": [5, "5", "1w", True], "list of text": ["a", {"a": 1}, [["a"]]], "object": ["a", 1, ["a"]]}[param["type"]]
    wrong = list(wrong)
    if param.get("choices"):
        wrong.append("nothing-of-these")
    if "minimum" in param and param["type"] in ("integer", "number"):
        wrong += [param["minimum"] - 1, param["maximum"] * 2 + 1]
    return wrong


BASE = {"model": "digits", "serve": {"endpoint": "http://127.0.0.1:8080", "protocol": "oip"}, "checks": [{"name": "r", "kind": "ready"}]}


def with_check(kind, params):
    document = copy.deepcopy(BASE)
    document["checks"].append({"name": "c", "kind": kind, **params})
    return document


def with_choice(key, kind, params):
    document = copy.deepcopy(BASE)
    document["serve"][key] = {kind: params}
    return document


def needed(category, kind):
    required = {param["name"]: good_value(param) for param in kind["params"] if param["required"]}
    return {**required, **(BESIDES.get(kind["name"], {}) if category == "check" else {})}


def mutants(kinds):
    """(what, document, at): documents that are wrong at the one place named."""
    for category, make in (("check", with_check), ("protocol", lambda *a: with_choice("protocol", *a)), ("then", lambda *a: with_choice("then", *a))):
        for kind in (kind for kind in kinds if kind["category"] == category):
            required = needed(category, kind)
            for param in kind["params"]:
                if param["required"]:
                    yield f"{kind['name']} without {param['name']}", make(kind["name"], {k: v for k, v in required.items() if k != param["name"]})
                for wrong in wrong_values(param):
                    if category == "check" and param["name"] == "canary" and isinstance(wrong, dict):
                        continue  # a set of the device is a map
                    yield f"{kind['name']}.{param['name']}: {wrong!r}", make(kind["name"], {**required, param["name"]: wrong})
                for field in param.get("fields", []):
                    for wrong in wrong_values(field):
                        yield (f"{kind['name']}.{param['name']}.{field['name']}: {wrong!r}",
                               make(kind["name"], {**required, param["name"]: {field["name"]: wrong}}))
    def changed(*path, to):
        document = copy.deepcopy(BASE)
        place = document
        for key in path[:-1]:
            place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
        place[path[-1]] = to
        return ".".join(map(str, path)) + f": {to!r}", document

    yield from (changed("model", to=name) for name in ("Digits", "a b", "", "x" * 64, ["a"]))
    yield from (changed("required", to=wrong) for wrong in ("yes", 1))
    yield from (changed("serve", "switch", to=wrong) for wrong in ("file", ["files"]))
    yield from (changed("serve", "protocol", to=wrong) for wrong in ("grpc", {"oip": {}, "v1": {}}, {}, ["oip"]))
    yield from (changed("serve", "then", to=wrong) for wrong in ("systemd", {"exec": {}}, {"reboot": {}}, 1))
    yield from (changed("serve", "ready_within", to=wrong) for wrong in (60, "60", "1w", ["60s"]))
    yield from (changed("serve", "preflight", to=wrong) for wrong in ("a", {"port": 1}))
    yield from (changed("version", "digest", to=wrong) for wrong in ("sha256:12", "md5:" + 32 * "a"))
    yield from (changed("trial", "rate", to=wrong) for wrong in ("20", "0/s", "20/d"))
    yield from (changed("trial", "on_inconclusive", to=wrong) for wrong in ("reject", True))
    yield from (changed("trial", "false_rollback", to=wrong) for wrong in (0, 0.9, "1%"))
    yield from (changed("rollout", "percent", to=wrong) for wrong in (-1, 101, "10%"))
    yield from (changed("placement", "match_labels", to=wrong) for wrong in ("a", {"site": ["a"]}))
    yield from (changed("checks", to=wrong) for wrong in ([], "ready", {"ready": {}}, [{"name": "r"}], [{"kind": "ready"}],
                                                          [{"name": "R", "kind": "ready"}], [{"name": "r", "kind": "redy"}],
                                                          [{"name": "r", "kind": "ready", "severity": "wanted"}]))
    for key in ("model", "checks"):
        yield f"without {key}", {name: value for name, value in BASE.items() if name != key}


def places_with_keys(both, kinds):
    """(what, document with a key that nobody knows, the keys that the schema knows there)."""
    top = both.schema["properties"]
    unknown = {"zzzzzzzz": 1}
    yield "the manifest", {**BASE, **unknown}, top
    for section in ("version", "serve", "trial", "placement", "rollout"):
        yield section, {**BASE, section: {**BASE.get(section, {}), **unknown}}, top[section]["properties"]
    for rule in top["checks"]["items"]["allOf"]:
        kind = rule["if"]["properties"]["kind"]["const"]
        known = next(each for each in kinds if (each["category"], each["name"]) == ("check", kind))
        yield f"check {kind}", with_check(kind, {**needed("check", known), **unknown}), rule["then"]["properties"]
    for key in ("then", "protocol"):
        for kind, choice in top["serve"]["properties"][key]["anyOf"][1]["properties"].items():
            yield f"{key} {kind}", with_choice(key, kind, unknown), choice["anyOf"][0]["properties"]


def main():
    wrong = []
    with tempfile.TemporaryDirectory(prefix="mg-schema-") as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = Both(pathlib.Path(folder))
        kinds = printed("--kinds")["kinds"]

        valid = 0
        trees = list(manifests_of_the_tree())
        for (where, text), (takes, said) in zip(trees, pool.map(lambda each: both.daemon(each[1]), trees)):
            valid += takes
            if takes and (why := both.refusal(yaml.load(text, Loader))):
                wrong.append(f"{where}: the daemon takes it, the schema does not: {why}\n{text}")
            if where in ("README.md", "modelguard-model.5") and not takes:
                wrong.append(f"{where}: the daemon does not take it: {said}")

        tried = [("the base", BASE)] + [(f"check {kind['name']}", with_check(kind["name"], needed("check", kind)))
                                        for kind in kinds if kind["category"] == "check"]
        for (what, document), (takes, said) in zip(tried, pool.map(lambda each: both.daemon(yaml.safe_dump(each[1])), tried)):
            if why := both.refusal(document):
                wrong.append(f"{what}: the schema refuses what is right: {why}")
            if not takes:
                print(f"{what}: the daemon wants more than its table says: {said.splitlines()[0]}")

        bad = list(mutants(kinds))
        for (what, document), (takes, said) in zip(bad, pool.map(lambda each: both.daemon(yaml.safe_dump(each[1])), bad)):
            refused = both.refusal(document)
            if takes:
                wrong.append(f"{what}: the daemon takes it{'' if refused else ', and the schema too'}: {json.dumps(document)}")
            elif refused is None:
                wrong.append(f"{what}: the schema takes it, the daemon says {said.splitlines()[0]}")

        places = list(places_with_keys(both, kinds))
        for (what, document, keys), (_, said) in zip(places, pool.map(lambda each: both.daemon(yaml.safe_dump(each[1])), places)):
            found = re.search(r"unknown key 'zzzzzzzz'(?:; expected (.*))?", said)
            told = set() if not found or found[1] in (None, "none") else set(re.split(", | or ", found[1]))
            if not found or told != set(keys):
                wrong.append(f"{what}: the schema has the keys {sorted(keys)}, the daemon {sorted(told)}: {said}")
    print("\n".join(wrong))
    print(f"{len(trees)} manifests of the tree ({valid} right), {len(bad)} wrong ones made, {len(places)} maps of keys: {len(wrong)} differences")
    return 1 if wrong or valid < 4 or len(bad) < 100 or len(places) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
