#!/usr/bin/env python3
"""Callbacks against a receiver that fails three times in ten: 500, reset, hang, slow.

    tests/outside/callbacks.py BINARY [COUNT] [SHARE]

Sends COUNT (20,000) requests, each with a callback, to a Standin of BINARY, and ends when every callback is
delivered or accounted for. SHARE (0.3) of the attempts fail. Prints what came, what came twice, how many were
open at once to one receiver, and memory and descriptors; exits with 1 if a callback is lost, or came twice
without the receiver having hung or been slow.
"""
import asyncio, collections, json, os, random, re, subprocess, sys, tempfile, time

binary, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
share = float(sys.argv[3]) if len(sys.argv) > 3 else 0.3
PER_HOST = 16
chance = random.Random(1)
came, excused = collections.Counter(), set()
open_now = most = attempts = 0


async def receive(reader, writer):
    global open_now, most, attempts
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head).group(1))
            body = json.loads(await reader.readexactly(length))
            number = body["n"]
            attempts += 1
            open_now += 1
            most = max(most, open_now)
            try:
                luck = chance.random()
                if luck > share:
                    came[number] += 1
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                elif luck < share * 0.4:
                    writer.write(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
                elif luck < share * 0.8:
                    writer.transport.abort()
                    return
                else:
                    # It has it, but the answer comes too late.
                    came[number] += 1
                    excused.add(number)
                    if luck < share * 0.9:
                        await asyncio.sleep(0.9)
                        # From here on nobody waits for it.
                        open_now -= 1
                        await asyncio.sleep(0.6)
                        open_now += 1
                    else:
                        await asyncio.sleep(0.3)
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            finally:
                open_now -= 1
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def ask(address, numbers, receiver):
    reader, writer = await asyncio.open_connection(*address)
    for number in numbers:
        body = json.dumps({"cb": f"http://127.0.0.1:{receiver}/hook", "n": number, "pad": "x" * 450}).encode()
        writer.write(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                     % (len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 202 " in head.split(b"\r\n")[0], head
        length = re.search(rb"content-length: (\d+)", head)
        await reader.readexactly(int(length.group(1)) if length else 0)
    writer.close()


def of_process(pid):
    status = open(f"/proc/{pid}/status").read()
    rss = int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) // 1024
    return f"{rss} MB, {len(os.listdir(f'/proc/{pid}/fd'))} descriptors"


async def metric(address, name):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    lines = [line for line in text.splitlines() if line.startswith(name + "{") or line.startswith(name + " ")]
    return {re.sub(r".*outcome=\"(\w+)\".*", r"\1", line): float(line.rsplit(" ", 1)[1]) for line in lines}


async def main():
    server = await asyncio.start_server(receive, "127.0.0.1", 0, backlog=1024)
    receiver = server.sockets[0].getsockname()[1]
    folder = tempfile.mkdtemp()
    open(f"{folder}/api.yaml", "w").write("""
openapi: 3.1.0
info: {title: t, version: '1'}
paths: {/a: {post: {responses: {202: {description: d}}, callbacks: {done: {'{$request.body#/cb}': {post: {requestBody:
  {content: {application/json: {example: {n: '{{ request.body/n }}', pad: '{{ request.body/pad }}'}}}}}}}}}}}
""")
    open(f"{folder}/standin.yaml", "w").write(f"""
specs: [{{source: api.yaml}}]
listen: 127.0.0.1:0
admin: 127.0.0.1:0
log: {{level: error}}
callbacks: {{delay: 100ms, timeout: 1s, retry: [{', '.join(['500ms'] * 12)}], per_host: {PER_HOST}, queue: 200000}}
""")
    process = subprocess.Popen([binary, "run"], cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        ports = [("127.0.0.1", int(port)) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())]
        data, admin = ports[:2]
        print("ready:", of_process(process.pid))
        begun = time.monotonic()
        await asyncio.gather(*(ask(data, range(at, count, 8), receiver) for at in range(8)))
        print(f"asked {count} in {time.monotonic() - begun:.1f} s:", of_process(process.pid))
        while True:
            waits = await metric(admin, "standin_callbacks_pending")
            flies = await metric(admin, "standin_callbacks_in_flight")
            if sum(waits.values()) + sum(flies.values()) == 0 or time.monotonic() - begun > 540:
                break
            await asyncio.sleep(0.5)
        outcomes = await metric(admin, "standin_callbacks_total")
        print(f"done in {time.monotonic() - begun:.1f} s, {attempts} attempts:", of_process(process.pid))
    finally:
        process.terminate()
        process.wait()
    lost = count - len(came) - int(outcomes.get("failed", 0))
    twice = [number for number, times in came.items() if times > 1 and number not in excused]
    print(f"outcomes {outcomes}; came {len(came)}, lost {max(lost, 0)}, twice without reason {len(twice)}, "
          f"at most {most} at once (bound {PER_HOST})")
    return 1 if lost > 0 or twice or most > PER_HOST else 0


code = asyncio.get_event_loop_policy().new_event_loop().run_until_complete(main())
sys.stdout.flush()
# Connections of the receiver that are still open have nothing to say.
os._exit(code)
