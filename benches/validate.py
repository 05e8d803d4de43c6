#!/usr/bin/env python3
"""Measures the CPU time that validation of requests costs, `report` beside `off`, in one run.

    benches/validate.py [BINARY]        default: target/release/standin

The server is pinned to core 0, wrk to core 1; what counts is the server's CPU time (utime + stime, from /proc)
divided by the requests that wrk had answered. The rounds alternate between the levels, and the medians count.
A POST has a JSON body of 1 KB and a schema of twenty properties; a GET has nothing to look at. A quiet machine
with two cores, wrk and a release build are needed. ROUNDS (3) and DURATION (3 seconds each) may be set.
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

KINDS = [{"type": "string", "maxLength": 80}, {"type": "integer", "minimum": 0}, {"type": "boolean"}, {"type": "number"}]
PROPERTIES = {f"field{at}": KINDS[at % 4] for at in range(20)}
VALUES = ["x" * 78 + "y", 12345, True, 1.5]
BODY = json.dumps({name: VALUES[at % 4] for at, name in enumerate(PROPERTIES)} | {"filler": ""})
BODY = BODY.replace('"filler": ""', f'"filler": "{"z" * (1024 - len(BODY))}"')
ANSWER = {"responses": {"200": {"description": "ok", "content": {"application/json": {"example": {"ok": True}}}}}}
SCHEMA = {"type": "object", "required": list(PROPERTIES), "properties": PROPERTIES}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Bench", "version": "1"},
    "paths": {
        "/plain": {"get": ANSWER},
        "/body": {"post": {"requestBody": {"required": True, "content": {"application/json": {"schema": SCHEMA}}}, **ANSWER}},
    },
}


def main():
    binary = os.path.realpath(sys.argv[1] if len(sys.argv) > 1 else "target/release/standin")
    rounds, duration = int(os.environ.get("ROUNDS", 3)), int(os.environ.get("DURATION", 3))
    assert len(BODY) == 1024
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "document.json").write_text(json.dumps(DOCUMENT))
        script = f"wrk.method = 'POST'\nwrk.body = [[{BODY}]]\nwrk.headers['content-type'] = 'application/json'\n"
        pathlib.Path(folder, "post.lua").write_text(script)
        for turn in range(rounds):
            for path in ["/body", "/plain"]:
                # Whoever comes second may find the machine otherwise.
                for level in ["off", "report"] if turn % 2 else ["report", "off"]:
                    times.setdefault((path, level), []).append(measure(binary, folder, path, level, duration))
    for path in ["/body", "/plain"]:
        off, report = (statistics.median(times[path, level]) for level in ["off", "report"])
        print(f"{path:7} off {off:7.2f} us, report {report:7.2f} us of CPU per request, ratio {report / off:.2f} (at most 1.5)")


def measure(binary, folder, path, level, duration):
    command = ["taskset", "-c", "0", binary, "run", "--spec", "document.json", "--listen", "127.0.0.1:0"]
    command += ["--admin", "off", "--validate", level, "--log-level", "error"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"listening on (http:[^ ,]*)", server.stdout.readline()).group(1)
        script = ["-s", f"{folder}/post.lua"] if path == "/body" else []
        load = ["taskset", "-c", "1", "wrk", "-t1", "-c32", f"-d{duration}s", *script, url + path]
        before = ticks(server.pid)
        said = subprocess.run(load, capture_output=True, text=True, timeout=duration + 10).stdout
        spent = ticks(server.pid) - before
        if "Non-2xx" in said or "Socket errors" in said:
            sys.exit(f"{path} at {level}: {said}")
        requests = int(re.search(r"(\d+) requests in", said).group(1))
        return spent / os.sysconf("SC_CLK_TCK") / requests * 1e6
    finally:
        server.terminate()
        server.wait()


def ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


main()
