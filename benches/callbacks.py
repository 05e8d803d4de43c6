#!/usr/bin/env python3
"""Measures what a callback costs the request that causes it, in one run.

    benches/callbacks.py [BINARY]       default: target/release/standin

The server is pinned to core 0, wrk to core 1; what counts is the server's CPU time (utime + stime, from /proc)
divided by the requests that wrk had answered. The callbacks wait for ten minutes, so that sending is no part of
it. The rounds alternate between a document without callbacks, callbacks in memory and callbacks in a folder; the
medians count, and how far the rounds lie apart says what they are worth. A POST has a JSON body of 500 bytes, which
the callback's URL and payload refer to. A quiet machine with two cores, wrk and a release build are needed.
ROUNDS (9) and DURATION (2 seconds each) may be set.
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

BODY = json.dumps({"cb": "http://127.0.0.1:9/hook", "n": 1, "pad": "x" * 450})
DOCUMENT = """
openapi: 3.1.0
info: {title: Bench, version: '1'}
paths: {/a: {post: {
  requestBody: {content: {application/json: {schema: {type: object, required: [cb], properties: {cb: {type: string}}}}}},
  responses: {202: {description: ok, content: {application/json: {example: {ok: true}}}}}%s}}}
"""
CALLBACKS = """,
  callbacks: {done: {'{$request.body#/cb}': {post: {requestBody:
    {content: {application/json: {example: {n: '{{ request.body/n }}', pad: '{{ request.body/pad }}'}}}}}}}}"""
WAIT = "delay: 10m, queue: 10000000, memory: 8GiB"
# What the operation ends with, and the section of the config.
WAYS = {
    "none": ("", "enabled: true"),
    "memory": (CALLBACKS, WAIT),
    "folder": (CALLBACKS, f"{WAIT}, store: ./kept"),
}


def main():
    binary = os.path.realpath(sys.argv[1] if len(sys.argv) > 1 else "target/release/standin")
    rounds, duration = int(os.environ.get("ROUNDS", 9)), int(os.environ.get("DURATION", 2))
    times = {}
    for turn in range(rounds):
        # Whoever comes second may find the machine otherwise.
        for way in list(WAYS)[:: 1 if turn % 2 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                times.setdefault(way, []).append(measure(binary, folder, way, duration))
    none = statistics.median(times["none"])
    for way, bound in [("none", ""), ("memory", ", at most 1.3"), ("folder", "")]:
        spent = statistics.median(times[way])
        spread = f"{min(times[way]):.1f} to {max(times[way]):.1f}"
        print(f"{way:7} {spent:6.2f} us of CPU per request ({spread}), ratio {spent / none:.2f}{bound}")


def measure(binary, folder, way, duration):
    end, section = WAYS[way]
    pathlib.Path(folder, "api.yaml").write_text(DOCUMENT % end)
    config = f"specs: [{{source: api.yaml}}]\nlisten: 127.0.0.1:0\nadmin: off\ncallbacks: {{{section}}}\nlog: {{level: error}}\n"
    pathlib.Path(folder, "standin.yaml").write_text(config)
    script = f"wrk.method = 'POST'\nwrk.body = [[{BODY}]]\nwrk.headers['content-type'] = 'application/json'\n"
    pathlib.Path(folder, "post.lua").write_text(script)
    server = subprocess.Popen(["taskset", "-c", "0", binary, "run"], cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"listening on (http:[^ ,]*)", server.stdout.readline()).group(1)
        load = ["taskset", "-c", "1", "wrk", "-t1", "-c32", f"-d{duration}s", "-s", f"{folder}/post.lua", url + "/a"]
        before = ticks(server.pid)
        said = subprocess.run(load, capture_output=True, text=True, timeout=duration + 10).stdout
        spent = ticks(server.pid) - before
        if "Non-2xx" in said or "Socket errors" in said:
            sys.exit(f"{way}: {said}")
        requests = int(re.search(r"(\d+) requests in", said).group(1))
        return spent / os.sysconf("SC_CLK_TCK") / requests * 1e6
    finally:
        # What waits needs no stop in order.
        server.kill()
        server.wait()


def ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


main()
