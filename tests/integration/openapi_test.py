#!/usr/bin/env python3
"""packaging/openapi.yaml against the daemon: the routes are the same on both sides, and each real answer, from each path in its good and
its bad case, is what the file says: status, content type, and every field, none missing and none besides."""
import copy
import http.client
import json
import pathlib
import re
import subprocess
import sys
import unittest
import urllib.parse

try:
    import jsonschema
    import yaml
except ImportError as missing:
    print(f"not run: {missing} (packaging/install-deps test)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))
from device import PATIENCE, Device, UnixConnection  # noqa: E402

FILE = yaml.safe_load((ROOT / "packaging/openapi.yaml").read_text())
METHODS = {"get", "post", "delete", "put"}


def operations():
    """{(METHOD, path): operation}, with the parameters of the path."""
    return {(method.upper(), path): dict(item[method], parameters=item.get("parameters", []) + item[method].get("parameters", []))
            for path, item in FILE["paths"].items() for method in item if method in METHODS}


def resolved(node):
    while isinstance(node, dict) and "$ref" in node:
        target = FILE
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def strict(schema):
    """The schema, but a field that it does not name is wrong: the file must name all that the daemon says."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and "object" in closed.get("type", ()):
        closed["additionalProperties"] = False
    return closed


COMPONENTS = strict(copy.deepcopy(FILE["components"]))


def validator(schema):
    return jsonschema.Draft202012Validator({**strict(schema), "components": COMPONENTS})


class OpenApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(cls.make_device())
        cls.asked = set()

    @classmethod
    def make_device(cls):
        cls.device = Device()
        cls.device.start()
        cls.v1 = cls.packed("v1")
        cls.bad = cls.packed("bad", mode="wrong_label")
        return cls.device

    @classmethod
    def packed(cls, version, **behaviour):
        folder = cls.device.bundle(version, **behaviour)
        return subprocess.run(["tar", "-C", folder, "-c", "."], capture_output=True, check=True).stdout

    def ask(self, method, path, status, body=None, socket="control", headers=None, query=None, **parts):
        """The answer as a document, held against what the file says of this path."""
        self.asked.add((method, path))
        operation = operations()[(method, path)]
        where = f"{method} {path} {parts or ''}{query or ''}"
        known = {(resolved(each)["in"], resolved(each)["name"]) for each in operation["parameters"]}
        for place, names in (("query", query or {}), ("path", parts), ("header", headers or {})):
            for name in names:
                self.assertIn((place, name), known, where)
        answer = self.send(method, path.format(**parts), body, socket, headers, query)
        self.assertEqual(answer.status, status, f"{where}: {answer.body[:500]}")
        said = resolved(operation["responses"].get(str(status)) or operation["responses"]["default"])
        self.assertIn(answer.content_type, said["content"], where)
        if "json" not in answer.content_type:
            return answer.body.decode()
        document = json.loads(answer.body)
        errors = list(validator(said["content"][answer.content_type]["schema"]).iter_errors(document))
        self.assertFalse(errors, f"{where}: {[(list(e.absolute_path), e.message[:300]) for e in errors[:3]]}")
        return document

    def send(self, method, path, body, socket, headers, query):
        connection = UnixConnection(self.device.root / f"run/modelguard/{socket}.sock", PATIENCE)
        try:
            connection.request(method, path + ("?" + urllib.parse.urlencode(query) if query else ""), body, headers or {})
            answer = connection.getresponse()
            answer.body = answer.read()
            answer.content_type = answer.headers["Content-Type"]
            return answer
        finally:
            connection.close()

    def finished(self, operation):
        while operation["status"] == "running":
            operation = self.ask("GET", "/v1/operations/{id}", 200, id=operation["id"], query={"wait": 30})
        return operation

    def test_1_the_file_and_the_daemon_have_the_same_routes(self):
        source = (ROOT / "supervisor/daemon/service.cpp").read_text()
        table = re.search(r"kRoutes\[\]\{(.*?)\n    \};", source, re.S)[1]
        routes = {(method, path): socket for method, path, socket in re.findall(r'\{"([A-Z]+)", "([^"]+)", Route::(\w+),', table)}
        self.assertEqual(len(routes), table.count('{"'))
        described = {key: operation.get("x-modelguard-socket", "both") for key, operation in operations().items()}
        self.assertEqual(described, routes)

    def test_2_the_file_is_well_formed(self):
        for name, schema in FILE["components"]["schemas"].items():
            jsonschema.Draft202012Validator.check_schema(schema)
            for field in schema.get("required", []):
                self.assertIn(field, schema["properties"], name)
        for (method, path), operation in operations().items():
            named = {resolved(each)["name"] for each in operation["parameters"] if resolved(each)["in"] == "path"}
            self.assertEqual(named, set(re.findall(r"\{(\w+)\}", path)), f"{method} {path}")
        used = set(re.findall(r'"#/components/(\w+/\w+)"', (ROOT / "packaging/openapi.yaml").read_text()))
        there = {f"{group}/{name}" for group, each in FILE["components"].items() for name in each}
        self.assertEqual(used, there)

    def test_3_every_answer_is_as_described(self):
        ask, device = self.ask, self.device
        # Nothing is served yet.
        ask("GET", "/v1/status", 200)
        ask("POST", "/v1/models/{model}/check", 409, model="digits")
        ask("GET", "/v1/explain", 200)
        # A good version, told by an operation, its request repeated with its key; then a bad one.
        key = {"Idempotency-Key": "first"}
        deployed = ask("POST", "/v1/models/{model}/deploy", 202, self.v1, model="digits", headers=key, query={"label": "one"})
        again = ask("POST", "/v1/models/{model}/deploy", 202, self.v1, model="digits", headers=key)
        self.assertEqual(again["id"], deployed["id"])
        self.assertEqual(self.finished(deployed)["status"], "done")
        rejected = self.finished(ask("POST", "/v1/models/{model}/deploy", 202, self.bad, model="digits"))
        self.assertEqual(rejected["status"], "no")
        device.wait_phase("steady")
        measured = self.finished(ask("POST", "/v1/models/{model}/check", 202, model="digits"))
        self.assertTrue(measured["checks"])
        # What is there now.
        status = ask("GET", "/v1/status", 200, query={"model": "digits"}, socket="api")
        current = status["models"][0]["current"]["digest"]
        self.assertTrue(status["models"][0]["checks"])
        ask("GET", "/v1/history", 200, query={"model": "digits", "limit": 1000})
        ask("GET", "/v1/history", 200, query={"after": device.last_number(), "wait": 1})
        ask("GET", "/v1/explain", 200, query={"model": "digits", "number": 1})
        versions = ask("GET", "/v1/models/{model}/versions", 200, model="digits")["items"]
        self.assertTrue(any(version["rejected"] for version in versions))
        ask("GET", "/v1/kinds", 200)
        ask("GET", "/v1/gate", 200)
        ask("POST", "/v1/boot-complete", 200)
        ask("POST", "/v1/os/rollback", 409)  # a device with backend none
        ask("GET", "/metrics", 200)
        ask("GET", "/metrics", 200, headers={"Accept": "application/openmetrics-text"})
        # Changes, and what is refused.
        bad = next(version["digest"] for version in versions if version["rejected"])
        self.finished(ask("POST", "/v1/models/{model}/unreject", 202, model="digits", query={"version": bad}))
        self.finished(ask("POST", "/v1/models/{model}/pin", 202, model="digits", query={"version": current}))
        self.finished(ask("POST", "/v1/models/{model}/unpin", 202, model="digits"))
        second = self.finished(ask("POST", "/v1/models/{model}/deploy", 202, self.packed("v2", seed=1), model="digits"))
        device.wait_phase("steady")
        ask("POST", "/v1/models/{model}/rollback", 409, json.dumps({"schema": "modelguard.rollback/1", "seen_current": current}), model="digits")
        back = ask("POST", "/v1/models/{model}/rollback", 202, json.dumps({"schema": "modelguard.rollback/1", "seen_current": second["digest"]}), model="digits")
        self.assertEqual(self.finished(back)["status"], "done")
        ask("POST", "/v1/models/{model}/rollback", 400, "{}", model="digits")
        manifest = (device.root / "etc/modelguard/models.d/digits.yaml").read_text()
        self.assertTrue(ask("POST", "/v1/validate", 200, manifest, socket="api", query={"file": "m.yaml"})["valid"])
        self.assertFalse(ask("POST", "/v1/validate", 200, "model: digits\nchecks: []\nmodle: 1\n", socket="api")["valid"])
        ask("POST", "/v1/manifests", 400, "model: [", query={"file": "m.yaml"})
        ask("POST", "/v1/manifests", 409, manifest)  # a file of models.d describes it
        applied = ask("POST", "/v1/manifests", 202, manifest.replace("model: digits\n", "model: other\n", 1))
        self.finished(applied)
        self.finished(ask("DELETE", "/v1/models/{model}", 202, model="other"))
        ask("DELETE", "/v1/models/{model}", 409, model="digits")
        # Refusals that every path may give.
        ask("POST", "/v1/models/{model}/deploy", 404, self.v1, model="nobody")
        ask("POST", "/v1/models/{model}/pin", 403, model="digits", socket="api")
        ask("POST", "/v1/models/{model}/unreject", 400, model="digits", query={"version": "nonsense"})
        ask("GET", "/v1/operations/{id}", 404, id=1 << 40)
        ask("GET", "/v1/status", 404, query={"model": "nobody"})
        self.assertEqual(self.asked, set(operations()), "each path of the file was asked")

    def test_4_what_the_file_does_not_have_is_refused_by_the_daemon(self):
        for method, path in (("GET", "/v1"), ("GET", "/"), ("GET", "/v1/status/x"), ("GET", "/v1/models/digits"), ("GET", "/v1/models//versions/"),
                             ("POST", "/v1/models/digits/promote"), ("DELETE", "/v1/models/digits/pin"), ("POST", "/v1/status"),
                             ("POST", "/metrics"), ("GET", "/v1/validate")):
            answer = self.send(method, path, None, "control", None, None)
            self.assertEqual(answer.status, 404, f"{method} {path}")
            document = json.loads(answer.body)
            self.assertFalse(list(validator(FILE["components"]["schemas"]["Problem"]).iter_errors(document)), document)


if __name__ == "__main__":
    unittest.main(verbosity=2)
