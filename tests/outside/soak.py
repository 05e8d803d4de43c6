#!/usr/bin/env python3
"""Callbacks at a steady pace for long: whether memory and descriptors stay as they are.

    tests/outside/soak.py BINARY [SECONDS] [RATE] [STORE]

Sends RATE (500) requests a second for SECONDS (600), each with a callback of 500 bytes to one of four receivers, one
of which fails one attempt in five. STORE is `callbacks.store`, `memory` if left out. Samples every ten seconds;
exits with 1 if the last quarter has a tenth more memory than the second one, if descriptors grow, or if a callback
is not delivered.
"""
import asyncio, json, os, random, re, statistics, subprocess, sys, tempfile, time

binary = os.path.realpath(sys.argv[1])
seconds, rate = [int(given) for given in (sys.argv[2:4] + ["600", "500"][len(sys.argv[2:4]):])]
store = sys.argv[4] if len(sys.argv) > 4 else "memory"
chance = random.Random(1)
came = 0


def receiver(fails):
    async def receive(reader, writer):
        global came
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(re.search(rb"content-length: (\d+)", head).group(1)))
                if chance.random() < fails:
                    writer.write(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
                else:
                    came += 1
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
    return receive


async def client(address, ports, pace, until):
    reader, writer = await asyncio.open_connection(*address)
    sent, begun = 0, time.monotonic()
    while time.monotonic() < until:
        body = json.dumps({"cb": f"http://127.0.0.1:{ports[sent % len(ports)]}/hook", "n": sent, "pad": "x" * 450}).encode()
        writer.write(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 202 " in head.split(b"\r\n")[0], head
        length = re.search(rb"content-length: (\d+)", head)
        await reader.readexactly(int(length.group(1)) if length else 0)
        sent += 1
        await asyncio.sleep(max(0, begun + sent / pace - time.monotonic()))
    writer.close()
    return sent


async def pending(address):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    of = lambda name: sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))
    return of("standin_callbacks_pending") + of("standin_callbacks_in_flight")


async def main():
    servers = [await asyncio.start_server(receiver(0.2 if n == 0 else 0), "127.0.0.1", 0, backlog=1024) for n in range(4)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    folder = tempfile.mkdtemp()
    open(f"{folder}/api.yaml", "w").write("""
openapi: 3.1.0
info: {title: t, version: '1'}
paths: {/a: {post: {responses: {202: {description: d}}, callbacks: {done: {'{$request.body#/cb}': {post: {requestBody:
  {content: {application/json: {example: {n: '{{ request.body/n }}', pad: '{{ request.body/pad }}', at: '{{ now() }}'}}}}}}}}}}}
""")
    open(f"{folder}/standin.yaml", "w").write(
        "specs: [{source: api.yaml}]\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: {level: error}\n"
        f"callbacks: {{delay: 1s, retry: [{', '.join(['500ms'] * 20)}], per_host: 32, store: {store}}}\n")
    process = subprocess.Popen([binary, "run"], cwd=folder, stdout=subprocess.PIPE, text=True)
    samples = []
    try:
        data, admin = [("127.0.0.1", int(port)) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())][:2]
        until = time.monotonic() + seconds
        clients = [asyncio.create_task(client(data, ports, rate / 8, until)) for _ in range(8)]
        while time.monotonic() < until:
            await asyncio.sleep(min(10, max(0.1, until - time.monotonic())))
            rss = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{process.pid}/status").read()).group(1)) / 1024
            samples.append((rss, len(os.listdir(f"/proc/{process.pid}/fd"))))
            print(f"{rss:.0f} MB, {samples[-1][1]} descriptors, {came} delivered", flush=True)
        sent = sum(await asyncio.gather(*clients))
        end = time.monotonic() + 60
        while await pending(admin) and time.monotonic() < end:
            await asyncio.sleep(0.2)
    finally:
        process.terminate()
        process.wait()
    quarter = max(1, len(samples) // 4)
    memory = [statistics.median(rss for rss, _ in part) for part in (samples[quarter:2 * quarter] or samples, samples[-quarter:])]
    files = [max(count for _, count in part) for part in (samples[quarter:2 * quarter] or samples, samples[-quarter:])]
    print(f"{sent} sent, {came} delivered; {memory[0]:.0f} MB and at the end {memory[1]:.0f} MB; {files[0]} descriptors and {files[1]}")
    os._exit(1 if came < sent or memory[1] > 1.1 * memory[0] or files[1] > files[0] + 8 else 0)


asyncio.run(main())
