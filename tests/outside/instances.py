#!/usr/bin/env python3
# Whether what Standin generates is valid to somebody else: asks a real Standin for every operation of a
# document that has a 2xx response with a JSON schema, once for the fixed instance and once for each of five
# seeds, and holds the bodies against the schema with jsonschema (PyPI), Draft 2020-12, formats checked.
# OpenAPI 3.0 is brought to 2020-12 here, without Standin's own code.
#
#   python3 -m venv /tmp/venv && /tmp/venv/bin/pip install 'jsonschema[format]' pyyaml
#   cargo build && /tmp/venv/bin/python tests/outside/instances.py target/debug/standin openapi.json...
#
# Prints a line for each body that is not valid, and for each that could not be made; exits with 1 if
# there is any that is not valid.

import http.client
import json
import re
import subprocess
import sys
import tempfile
import urllib.parse

import jsonschema
import yaml

METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]
SEEDS = [None, 1, 2, 3, 4, 5]
# jsonschema has no checks of OpenAPI's own formats, and these of its own are stricter than their RFCs.
FORMATS = jsonschema.FormatChecker(
    ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "uuid",
     "json-pointer", "regex"]
)


def main(standin, documents):
    wrong = sum(check(standin, document) for document in documents)
    sys.exit(1 if wrong else 0)


def check(standin, path):
    document = read(path)
    if "swagger" in document:
        print(f"{path}: Swagger 2.0 is not for this script")
        return 0
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        # What a response shows comes before an instance, and is the document's, right or wrong.
        json.dump(without_examples(document), file, default=str)
        file.flush()
        return judged(standin, path, file.name, document)


def judged(standin, path, served, document):
    process, address = start(standin, served)
    counts = {"asked": 0, "valid": 0, "invalid": 0, "impossible": 0, "other": 0}
    try:
        for method, template, status, media, schema in operations(document):
            validator = jsonschema.Draft202012Validator(alone(document, schema), format_checker=FORMATS)
            for seed in SEEDS:
                counts["asked"] += 1
                code, kind, body = ask(address, method, filled(template), status, media, seed)
                outcome, why = judge(validator, code, kind, body, status)
                counts[outcome] += 1
                if outcome != "valid":
                    print(f"{outcome}: {method.upper()} {template} {status} seed {seed}: {why}")
    finally:
        process.terminate()
        process.wait()
    print(f"{path}: {counts}")
    return counts["invalid"]


def without_examples(value, above=None):
    if isinstance(value, list):
        return [without_examples(below, above) for below in value]
    if not isinstance(value, dict):
        return value
    shows = "schema" in value and ("example" in value or "examples" in value) and above != "properties"
    return {
        key: without_examples(below, key)
        for key, below in value.items()
        if not (shows and key in ("example", "examples"))
    }


def read(path):
    with open(path) as file:
        return json.load(file) if path.endswith(".json") else yaml.safe_load(file)


def start(standin, path):
    command = [standin, "run", "--spec", path, "--listen", "127.0.0.1:0", "--admin", "off", "--validate", "off"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    ready = process.stdout.readline()
    return process, re.search(r"http://([0-9.:]+)", ready).group(1)


def operations(document):
    base = urllib.parse.urlparse(document.get("servers", [{"url": "/"}])[0]["url"]).path.rstrip("/")
    for template, item in document.get("paths", {}).items():
        for method in METHODS:
            for status, response in item.get(method, {}).get("responses", {}).items():
                if not re.fullmatch("2([0-9][0-9]|XX)", str(status)):
                    continue
                for media, content in resolved(document, response).get("content", {}).items():
                    if re.fullmatch(r"application/([\w.-]+\+)?json(;.*)?", media) and "schema" in content:
                        yield method, base + template, str(status).replace("X", "0"), media, content["schema"]


def resolved(document, value):
    while "$ref" in value:
        tokens = value["$ref"].removeprefix("#/").split("/")
        value = document
        for token in tokens:
            token = urllib.parse.unquote(token).replace("~1", "/").replace("~0", "~")
            value = value[int(token)] if isinstance(value, list) else value[token]
    return value


def alone(document, schema):
    """The schema in a resource in which its references lead on."""
    old = str(document["openapi"]).startswith("3.0")
    schemas = document.get("components", {}).get("schemas", {})
    if "x-translated" not in document:
        document["x-translated"] = {name: translated(document, below, old) for name, below in schemas.items()}
    whole = document["x-translated"]
    # References into other places than the schemas are rare, and lead to what is not translated.
    others = {key: document[key] for key in ("paths", "definitions", "responses", "parameters") if key in document}
    components = document.get("components", {}) | {"schemas": whole}
    return {"allOf": [translated(document, schema, old)], "components": components} | others


def translated(document, schema, old):
    if not isinstance(schema, dict):
        return schema
    if old and "$ref" in schema:
        return {"$ref": schema["$ref"]}
    out = {}
    for key, value in schema.items():
        if key in ("properties", "patternProperties", "dependentSchemas"):
            out[key] = {name: translated(document, below, old) for name, below in value.items()}
        elif key in ("allOf", "anyOf", "oneOf", "prefixItems"):
            out[key] = [translated(document, below, old) for below in value]
        elif key in ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
                     "unevaluatedItems", "unevaluatedProperties"):
            out[key] = translated(document, value, old)
        elif key not in ("example", "examples", "default", "discriminator", "xml", "externalDocs", "nullable", "$id"):
            out[key] = value
    for name, below in schema.get("properties", {}).items():
        if write_only(document, below):
            out["properties"][name] = False
            out["required"] = [other for other in out.get("required", []) if other != name]
    if not out.get("required", True):
        del out["required"]
    if "pattern" in out and not compiles(out["pattern"]):
        del out["pattern"]
    if old:
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if isinstance(out.get(exclusive), bool):
                if out.pop(exclusive) and bound in out:
                    out[exclusive] = out.pop(bound)
        if schema.get("nullable") is True:
            out = {"anyOf": [out, {"type": "null"}]}
    return out


def write_only(document, schema):
    return isinstance(schema, dict) and (
        schema.get("writeOnly") is True or "$ref" in schema and resolved(document, schema).get("writeOnly") is True
    )


def compiles(pattern):
    try:
        re.compile(pattern)
        return True
    except re.error:
        return False


def filled(template):
    return re.sub(r"\{[^}]*\}", "1", template)


def ask(address, method, path, status, media, seed):
    prefer = f"code={status}" + (f", dynamic=true, seed={seed}" if seed else ", dynamic=false")
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request(method.upper(), path, headers={"prefer": prefer, "accept": media.split(";")[0]})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, response.headers.get("x-standin-error"), body


def judge(validator, code, error, body, status):
    if error == "cannot-generate":
        return "impossible", json.loads(body)["detail"]
    if error or str(code) != status:
        return "other", f"{code} {error}"
    try:
        instance = json.loads(body)
    except ValueError as problem:
        return "invalid", problem
    for problem in validator.iter_errors(instance):
        return "invalid", f"{problem.json_path}: {problem.message[:300]}"
    return "valid", None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
