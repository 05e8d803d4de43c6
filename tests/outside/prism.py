#!/usr/bin/env python3
# The cases of tests/prism, asked of Standin or of Prism itself, as a table: whether our restatement of
# Prism's rules is what Prism does. A case that has `differs` expects Standin's answer; Prism's status then is
# `prism`, where that is another one.
#
#   python3 -m venv /tmp/venv && /tmp/venv/bin/pip install pyyaml
#   /tmp/venv/bin/python tests/outside/prism.py standin target/debug/standin
#   npm install --prefix /tmp/prism @stoplight/prism-cli
#   /tmp/venv/bin/python tests/outside/prism.py prism /tmp/prism/node_modules/.bin/prism
#
# Prints a line for each case that is not as expected, and the sum; exits with 1 if there is one.

import http.client
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import yaml

WAIT = 60  # seconds for a server to listen
FOLDER = pathlib.Path(__file__).parent.parent / "prism"


def main():
    kind, binary = sys.argv[1:]
    asked, wrong = 0, 0
    for file in sorted(FOLDER.glob("*.yaml")):
        for group in yaml.safe_load(file.read_text()):
            with tempfile.TemporaryDirectory() as folder:
                server, port = serve(kind, binary, group, folder)
                try:
                    for case in group["cases"]:
                        asked += 1
                        wrong += ask(kind, port, file.stem, case)
                finally:
                    server.terminate()
                    server.wait()
    print(f"{asked} cases, {wrong} not as expected")
    sys.exit(min(wrong, 1))


def serve(kind, binary, group, folder):
    path = pathlib.Path(folder, "document.yaml")
    path.write_text(group["document"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if kind == "prism":
        command = [binary, "mock", "-h", "127.0.0.1", "-p", str(port), "--errors", str(path)]
        command += ["-d"] if group.get("dynamic") else []
        command += ["--cors", "false"] if group.get("cors") is False else []
    else:
        command = [binary, "run", "--spec", str(path), "--listen", f"127.0.0.1:{port}", "--admin", "off"]
        command += ["--validate", "enforce", "--log-level", "error"]
        command += ["--dynamic"] if group.get("dynamic") else []
        command += ["--cors", "off"] if group.get("cors") is False else []
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + WAIT
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return server, port
        except OSError:
            time.sleep(0.05)
    server.kill()
    sys.exit(f"{command} does not listen")


# 1 where the answer is not as expected.
def ask(kind, port, area, case):
    method, target = case["request"].split(" ", 1)
    body = multipart(case["parts"]) if "parts" in case else case.get("body")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, target, body, case.get("headers", {}))
    response = connection.getresponse()
    text = response.read().decode(errors="replace")
    differs = kind == "prism" and "differs" in case
    problem = compare(response, text, {"status": case.get("prism", case["expect"]["status"])} if differs else case["expect"])
    if not problem:
        return 0
    print(f"{area}: {case['name']}: {problem}: {text[:300]}")
    return 1


def multipart(parts):
    lines = ""
    for name, values in parts.items():
        for value in values if isinstance(values, list) else [values]:
            lines += f'--x\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    return lines + "--x--\r\n"


def compare(response, text, expect):
    if response.status != expect["status"]:
        return f"{response.status} for {expect['status']}"
    for name, value in expect.get("headers", {}).items():
        found = response.getheader(name)
        if name == "content-type" and found:
            found = found.split(";")[0]
        if found != value:
            return f"{name} is {found} for {value}"
    try:
        if "json" in expect and json.loads(text) != expect["json"]:
            return f"not {expect['json']}"
        if "one_of" in expect and json.loads(text) not in expect["one_of"]:
            return f"none of {expect['one_of']}"
    except ValueError:
        return "no JSON"
    if "text" in expect and text.strip() != expect["text"]:
        return f"not {expect['text']}"
    return None


main()
