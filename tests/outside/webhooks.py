#!/usr/bin/env python3
"""Whether the official Standard Webhooks library takes the callbacks' signatures.

    tests/outside/webhooks.py BINARY

Sends callbacks of JSON, of other text and without a body, each tried again (the library takes no bytes), with one secret, with two, and with
another after a reload, and verifies each attempt as a receiver would. Exits with 1 if one is not taken, or if one
is taken with a secret that it was not signed with. Needs `standardwebhooks` from PyPI.
"""
import http.server, os, re, subprocess, sys, tempfile, threading, time, urllib.request
import base64

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

binary = os.path.realpath(sys.argv[1])
OLD, NEW, OTHER = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
got = []


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        first = all(headers["webhook-id"] != self.headers["webhook-id"] for headers, _ in got)
        got.append((dict(self.headers), body))
        # So that it comes again.
        self.send_response(503 if first else 204)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def takes(secret, headers, body):
    headers = {name.lower(): value for name, value in headers.items()}
    try:
        # The library reads JSON only after it has verified.
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    except ValueError:
        pass
    return True


def post(url):
    request = urllib.request.Request(url, b"{}", {"content-type": "application/json"}, method="POST")
    urllib.request.urlopen(request).read()


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tempfile.mkdtemp()
    open(f"{folder}/api.yaml", "w").write("""
openapi: 3.1.0
info: {title: t, version: '1'}
paths: {/a: {post: {responses: {'202': {description: d}}, callbacks: {
  json: {'{$request.query.cb}': {post: {requestBody: {content: {application/json: {example: {a: 'é {{uuid()}} 💶'}}}}}}},
  text: {'{$request.query.cb}': {post: {requestBody: {content: {text/plain: {example: "no JSON: \u20ac\r\n {{uuid()}}"}}}}}},
  nothing: {'{$request.query.cb}': {post: {}}}}}}}
""")

    def configure(secrets):
        open(f"{folder}/standin.yaml.new", "w").write(
            "specs: [{source: api.yaml}]\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: {level: error}\n"
            f"callbacks: {{delay: 0s, retry: [10ms, 10ms, 10ms], secret: [{', '.join(secrets)}]}}\n")
        os.rename(f"{folder}/standin.yaml.new", f"{folder}/standin.yaml")

    configure([OLD])
    process = subprocess.Popen([binary, "run"], cwd=folder, stdout=subprocess.PIPE, text=True)
    wrong = attempts = 0
    try:
        data, admin = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[:2]
        for signed in [[OLD], [NEW, OLD], [NEW]]:
            configure(signed)
            post(f"{admin}/api/reload")
            got.clear()
            for _ in range(10):
                post(f"{data}/a?cb=http://127.0.0.1:{server.server_port}/hook")
            deadline = time.monotonic() + 30
            while len([1 for headers, _ in got]) < 60 and time.monotonic() < deadline:
                time.sleep(0.05)
            attempts += len(got)
            for headers, body in got:
                for secret in [OLD, NEW, OTHER]:
                    wrong += takes(secret, headers, body) != (secret in signed)
                wrong += takes(signed[0], headers, body + b"x")
    finally:
        process.terminate()
        process.wait()
    print(f"{attempts} attempts, {wrong} wrong verdicts")
    return 1 if wrong or attempts < 180 else 0


sys.exit(main())
