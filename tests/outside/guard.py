#!/usr/bin/env python3
"""Where callbacks may go, seen from where they would arrive.

    tests/outside/guard.py BINARY

Runs a Standin of BINARY in a network namespace of its own in which every address, public or not, leads to one
listener, and every name to a DNS server of this script. Callbacks are sent to the first and the last address of
each special range, and the ones beside it, in every notation that a URL has; to names with several addresses, names
that change them, and by redirects. Exits with 1 if the listener saw a connection to an address that callbacks may
not go to, or did not see one that it should have; or if a client could tell a refused callback from another.
Needs Linux, root, unshare and ip. Takes about a minute.
"""
import ipaddress, os, random, re, socket, statistics, struct, subprocess, sys, tempfile, threading, time
import urllib.parse, http.client

if "--inside" not in sys.argv:
    if os.geteuid() != 0:
        sys.exit("this needs root: network namespaces are made")
    os.execvp("unshare", ["unshare", "--net", "--mount", "--", sys.executable, *sys.argv, "--inside"])

binary = os.path.realpath(sys.argv[1])
PORT = 3000

# IANA's registries of special-purpose addresses, written out: (first, last), and whether callbacks with
# `allow: [public]` may go there.
V4 = [("0.0.0.0", "0.255.255.255"), ("10.0.0.0", "10.255.255.255"), ("100.64.0.0", "100.127.255.255"),
      ("127.0.0.0", "127.255.255.255"), ("169.254.0.0", "169.254.255.255"), ("172.16.0.0", "172.31.255.255"),
      ("192.0.0.0", "192.0.0.255"), ("192.0.2.0", "192.0.2.255"), ("192.88.99.0", "192.88.99.255"),
      ("192.168.0.0", "192.168.255.255"), ("198.18.0.0", "198.19.255.255"), ("198.51.100.0", "198.51.100.255"),
      ("203.0.113.0", "203.0.113.255"), ("224.0.0.0", "255.255.255.255")]
# Services that clouds have at addresses that are no special ones.
SINGLE = ["168.63.129.16", "169.254.169.254", "100.100.100.200"]
V6 = [("::", "::1"), ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"), ("100::", "100::ffff:ffff:ffff:ffff"),
      ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"), ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
      ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"), ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
      ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
      ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]
OPEN = ["1.1.1.1", "8.8.8.8", "223.255.255.255", "2606:4700::1111", "2a00::1"]


def special(address):
    address = ipaddress.ip_address(address)
    if address.version == 6:
        inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        number = int(address)
        if number >> 32 == 0 and number > 1 or number >> 32 == 0x64ff9b << 64:
            inside.append(ipaddress.ip_address(number & 0xffffffff))
        if (number >> 32) & 0xfdffffff == 0x00005efe:
            inside.append(ipaddress.ip_address(number & 0xffffffff))
        if any(one is not None and special(str(one)) for one in inside):
            return True
        ranges = V6
    else:
        ranges = V4
    return str(address) in SINGLE or any(
        ipaddress.ip_address(first) <= address <= ipaddress.ip_address(last) for first, last in ranges)


def edges(ranges):
    for first, last in ranges:
        first, last = ipaddress.ip_address(first), ipaddress.ip_address(last)
        for one in [first, last, *([first - 1] if int(first) else []), *([last + 1] if int(last) + 1 < 1 << last.max_prefixlen else [])]:
            yield one


def notations(address):
    """Hosts of URLs that mean an IPv4 address."""
    a, b, c, d = address.packed
    number, h, l = int(address), f"{a << 8 | b:x}", f"{c << 8 | d:x}"
    return [f"{a}.{b}.{c}.{d}", str(number), hex(number), oct(number).replace("0o", "0"), f"{a}.{b}.{c << 8 | d}",
            f"{a}.{b << 16 | c << 8 | d}", f"0x{a:x}.0x{b:X}.{c}.{d}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a}.{b}.{c}.{d}.",
            f"{a}%2e{b}.{c}.{d}", "".join(chr(ord(x) + 0xfee0) if x.isdigit() else x for x in f"{a}.{b}.{c}.{d}"),
            f"{a}\u3002{b}.{c}\uff0e{d}",
            f"[::ffff:{address}]", f"[::ffff:{h}:{l}]", f"[0:0:0:0:0:FFFF:{h}:{l}]", f"[::{h}:{l}]", f"[64:ff9b::{h}:{l}]",
            f"[2002:{h}:{l}::1]", f"[2001:0:{h}:{l}::f7f7:f7f7]", f"[2600::5efe:{h}:{l}]", f"[2600::200:5efe:{h}:{l}]"]


seen = []


def listen(family):
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", PORT))
    server.listen(1024)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection, connection.getsockname()[0]), daemon=True).start()


def serve(connection, address):
    seen.append(address)
    with connection:
        data = connection.recv(65536)
        if data:
            path = data.split(b" ")[1].decode()
            if path.startswith("/to/"):
                location = urllib.parse.unquote(path[4:])
                connection.sendall(f"HTTP/1.1 307 No\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            else:
                connection.sendall(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")


NAMES = {"open.test": ["8.8.8.8"], "two.test": ["8.8.8.8", "1.1.1.1"], "private.test": ["10.1.1.1"],
         "mixed.test": ["8.8.8.8", "10.1.1.1"], "last.test": ["10.1.1.1", "8.8.8.8"], "meta.test": ["169.254.169.254"],
         "six.test": ["8.8.8.8", "fd00::1"], "mapped.test": ["::ffff:10.1.1.1"], "nat.test": ["64:ff9b::a01:101"],
         "open6.test": ["2606:4700::1111"], "alias.test": ["=private.test"], "openalias.test": ["=open.test"],
         "zero.test": ["0.0.0.0"], "loop.test": ["127.0.0.1"], "nothing.test": []}
asked = {}


def resolve():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.53", 53))
    while True:
        query, client = server.recvfrom(4096)
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question, (kind,) = query[12:at + 5], struct.unpack(">H", query[at + 1:at + 3])
        name = ".".join(labels).lower()
        found = NAMES.get(name)
        if name.startswith("rebind"):
            # Public when it is checked, private when it is asked again.
            asked[name, kind] = asked.get((name, kind), 0) + 1
            found = ["8.8.8.8"] if asked[name, kind] == 1 else ["10.1.1.1"]
        records, owner = [], b"\xc0\x0c"
        for one in found or []:
            if one.startswith("="):
                target = b"".join(bytes([len(label)]) + label.encode() for label in one[1:].split(".")) + b"\0"
                records.append(owner + struct.pack(">HHIH", 5, 1, 0, len(target)) + target)
                owner = target
                found = NAMES[one[1:]]
        for one in found or []:
            if one.startswith("="):
                continue
            packed = ipaddress.ip_address(one).packed
            if kind == (1 if len(packed) == 4 else 28):
                records.append(owner + struct.pack(">HHIH", kind, 1, 0, len(packed)) + packed)
        flags = 0x8180 if found is not None else 0x8183
        server.sendto(query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records), client)


def prepare():
    for command in ["ip link set lo up", "ip route add local 0.0.0.0/0 dev lo", "ip -6 route add local ::/0 dev lo"]:
        subprocess.run(command.split(), check=True)
    with open("/tmp/resolv.conf.guard", "w") as conf:
        conf.write("nameserver 127.0.0.53\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", "/tmp/resolv.conf.guard", os.path.realpath("/etc/resolv.conf")], check=True)
    for target, args in [(listen, (socket.AF_INET,)), (listen, (socket.AF_INET6,)), (resolve, ())]:
        threading.Thread(target=target, args=args, daemon=True).start()


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask(self, url):
        begun = time.perf_counter()
        self.connection.request("POST", "/a?cb=" + urllib.parse.quote(url, safe=""))
        answer = self.connection.getresponse()
        body = answer.read()
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() != "date"]
        return (answer.status, tuple(headers), body), time.perf_counter() - begun


def metrics(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics", headers={"host": "localhost"})
    text = connection.getresponse().read().decode()
    value = lambda name: sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))
    outcomes = {}
    for word, count in re.findall(r'standin_callbacks_total\{.*outcome="(\w+)"\} (\d+)', text):
        outcomes[word] = int(count)
    return value("standin_callbacks_pending") + value("standin_callbacks_in_flight"), outcomes


def main():
    prepare()
    folder = tempfile.mkdtemp()
    open(f"{folder}/api.yaml", "w").write(
        "openapi: 3.1.0\npaths: {/a: {post: {responses: {'202': {description: d, content: {text/plain: {example: ok}}}},\n"
        "  callbacks: {done: {'{$request.query.cb}': {post: {}}}}}}}\n")
    open(f"{folder}/standin.yaml", "w").write(
        "specs: [{source: api.yaml}]\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: {level: error}\n"
        "callbacks: {delay: 0s, retry: [], allow: [public], timeout: 5s, per_host: 64, queue: 100000}\n")
    process = subprocess.Popen([binary, "run"], cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        data, admin = [int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())]
        client = Client(data)
        sent, answered = 0, set()

        def send(url):
            nonlocal sent
            answered.add(client.ask(url)[0])
            sent += 1

        targets = [(host, one) for one in edges(V4) for host in notations(one)]
        targets += [(host, ipaddress.ip_address(one)) for one in [*SINGLE, *OPEN[:3]] for host in notations(ipaddress.ip_address(one))]
        v6 = [*edges(V6), *map(ipaddress.ip_address, OPEN[3:])]
        targets += [(f"[{host}]", one) for one in v6 for host in {str(one), one.exploded, one.exploded.upper()}]
        for host, _ in targets:
            send(f"http://{host}:{PORT}/")
        for name in [*NAMES, *(f"rebind{n}.test" for n in range(20)), "none.test", "localhost", "LOCALHOST.", "a.localhost"]:
            for n in range(3):
                send(f"http://{name}:{PORT}/")
        hostile = ["http://8.8.8.8@10.1.1.1:3000/", "http://10.1.1.1:3000\\@8.8.8.8/", "http://10.1.1.1:3000#@8.8.8.8/",
                   "http://8.8.8.8\t.10.1.1.1:3000/", "http://10.1.1.1\n:3000/", "http://[fe80::1%25lo]:3000/", "http://[10.1.1.1]:3000/",
                   "//10.1.1.1:3000/", "http:10.1.1.1:3000", "http:///10.1.1.1:3000/", "gopher://10.1.1.1:3000/", "file:///etc/passwd",
                   f"http://127.0.0.1:{data}/a", f"http://127.0.0.1:{admin}/api/reload", " http://10.1.1.1:3000/", "http://10.1.1.1:3000 /"]
        for url in hostile:
            send(url)
        for to in ["http://10.1.1.1:3000/", "http://169.254.169.254:3000/", "//10.1.1.1:3000/", "http://loop.test:3000/"]:
            send(f"http://8.8.8.8:{PORT}/to/{urllib.parse.quote(to, safe='')}")
        deadline = time.monotonic() + 120
        while True:
            left, outcomes = metrics(admin)
            if left == 0 or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        # Whether a client can tell by the clock.
        times = {True: [], False: []}
        # In no order, since what is sent after an answer slows the next one down.
        for refused in random.Random(1).choices([True, False], k=1000):
            _, took = client.ask(f"http://{'10.1.1.1' if refused else '8.8.8.8'}:{PORT}/")
            times[refused].append(took)
        while metrics(admin)[0]:
            time.sleep(0.2)
    finally:
        process.terminate()
        process.wait()
    wrong = sorted({address for address in seen if special(address)})
    reached = {str(ipaddress.ip_address(address)) for address in seen}
    beside = {str(one) for one in edges(V4) if not special(str(one))}
    missing = sorted(one for one in {*OPEN, *beside} if one not in reached)
    medians = [statistics.median(times[refused]) * 1e6 for refused in [True, False]]
    print(f"{sent} callbacks: {outcomes}; {len(seen)} connections to {len(reached)} addresses")
    print(f"to addresses that are refused: {wrong or 'none'}; not reached: {missing or 'none'}")
    print(f"{len(answered)} kind of answer; refused {medians[0]:.0f} us, sent {medians[1]:.0f} us at the median")
    told = len(answered) != 1 or max(medians) > 1.3 * min(medians)
    os._exit(1 if wrong or missing or told or not seen else 0)


main()
