#!/usr/bin/env python3
"""Where callbacks may go, seen from where they would arrive.

    tests/outside/guard.py BINARY

Runs Standins of BINARY in a network namespace of its own in which every address, public or not, leads to one
listener, and every name to a DNS server of this script. Callbacks are sent to the first and the last address of
each special range, and the ones beside it, in every notation that a URL has; to names with several addresses, names
that change them, and by redirects; under several lists of `allow` and `deny`, and through a proxy. Each has a number,
so that what arrives is compared with what should, one by one. Exits with 1 if the listener saw a callback that was
not to go there, or did not see one that was; if a client could tell a refused callback from another; or if names
that nobody answers for hold others up. Needs Linux, root, unshare and ip; says so and exits with 77 where it can't
run. Takes about half a minute.
"""
import ipaddress, os, random, re, shutil, socket, statistics, struct, subprocess, sys, tempfile, threading, time
import urllib.parse, http.client

if "--inside" not in sys.argv:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        print("skipped: network namespaces are made, which needs Linux, root, unshare and ip")
        sys.exit(77)
    os.execvp("unshare", ["unshare", "--net", "--mount", "--", sys.executable, *sys.argv, "--inside"])

binary = os.path.realpath(sys.argv[1])
folder = tempfile.TemporaryDirectory()
ip = ipaddress.ip_address
PORT = 3000

# IANA's registries of special-purpose addresses, written out, with what the contract calls them; the narrower first.
# What no line has is public.
V4 = """
168.63.129.16 168.63.129.16 never
100.100.100.200 100.100.100.200 never
0.0.0.0 0.255.255.255 never
10.0.0.0 10.255.255.255 private
100.64.0.0 100.127.255.255 private
127.0.0.0 127.255.255.255 private
169.254.0.0 169.254.255.255 never
172.16.0.0 172.31.255.255 private
192.0.0.0 192.0.0.255 never
192.0.2.0 192.0.2.255 never
192.31.196.0 192.31.196.255 public
192.52.193.0 192.52.193.255 public
192.88.99.0 192.88.99.255 never
192.168.0.0 192.168.255.255 private
192.175.48.0 192.175.48.255 public
198.18.0.0 198.19.255.255 never
198.51.100.0 198.51.100.255 never
203.0.113.0 203.0.113.255 never
224.0.0.0 239.255.255.255 never
240.0.0.0 255.255.255.254 never
255.255.255.255 255.255.255.255 never
"""
V6 = """
:: :: never
::1 ::1 private
64:ff9b:1:: 64:ff9b:1:ffff:ffff:ffff:ffff:ffff never
100:: 100::ffff:ffff:ffff:ffff never
100:0:0:1:: 100::1:ffff:ffff:ffff:ffff never
2001:: 2001:0:ffff:ffff:ffff:ffff:ffff:ffff public
2001:2:: 2001:2:0:ffff:ffff:ffff:ffff:ffff never
2001:3:: 2001:3:ffff:ffff:ffff:ffff:ffff:ffff public
2001:4:112:: 2001:4:112:ffff:ffff:ffff:ffff:ffff public
2001:10:: 2001:1f:ffff:ffff:ffff:ffff:ffff:ffff never
2001:20:: 2001:2f:ffff:ffff:ffff:ffff:ffff:ffff public
2001:30:: 2001:3f:ffff:ffff:ffff:ffff:ffff:ffff public
2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff never
2001:: 2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff never
2620:4f:8000:: 2620:4f:8000:ffff:ffff:ffff:ffff:ffff public
3fff:: 3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff never
2000:: 3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff public
5f00:: 5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff never
fd00:ec2:: fd00:ec2::ffff:ffff:ffff:ffff never
fd20:ce::254 fd20:ce::254 never
fd00:c1::a9fe:a9fe fd00:c1::a9fe:a9fe never
fd00:a9fe:a9fe::1 fd00:a9fe:a9fe::1 never
fd00:42::42 fd00:42::42 never
fc00:: fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff private
fe80:: febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff never
fec0:: feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff never
ff00:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff never
:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff never
"""
TABLE = {version: [(ip(first), ip(last), word) for first, last, word in map(str.split, text.strip().splitlines())]
         for version, text in ((4, V4), (6, V6))}


def same(address):
    """The IPv4 address that an address is another notation of, else itself."""
    number = int(address)
    other = address.version == 6 and number >> 32 in (0xffff, 0x64ff9b << 64, 0x64ff9b0001 << 48, 0) and number > 1
    return ip(number & 0xffffffff) if other else address


def ends(address):
    """Where tunnels would bring it."""
    if address.version == 4:
        return []
    number, found = int(address), [address.sixtofour, *(address.teredo or ())]
    if number >> 32 & 0xfdffffff == 0x5efe:
        found.append(ip(number & 0xffffffff))
    return [one for one in found if one is not None]


def verdict(address):
    address = same(address)
    if any(verdict(one) != "public" for one in ends(address)):
        return "never"
    return next((word for first, last, word in TABLE[address.version] if first <= address <= last), "public")


def edges(version):
    for first, last, _ in TABLE[version]:
        for number in {int(first) - 1, int(first), int(last), int(last) + 1}:
            if 0 <= number < 1 << first.max_prefixlen:
                yield (ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address)(number)


def notations(address):
    """Hosts of URLs that mean an IPv4 address, or lead to it."""
    a, b, c, d = address.packed
    number, h, l = int(address), f"{a << 8 | b:x}", f"{c << 8 | d:x}"
    inverted = f"{0xffff ^ (a << 8 | b):x}:{0xffff ^ (c << 8 | d):x}"
    wide = lambda zero: "".join(chr(ord(x) - 48 + zero) if x.isdigit() else x for x in str(address))
    return [f"{a}.{b}.{c}.{d}", str(number), hex(number), oct(number).replace("0o", "0"), f"{a}.{b}.{c << 8 | d}",
            f"{a}.{b << 16 | c << 8 | d}", f"0x{a:x}.0x{b:X}.{c}.{d}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a}.{b}.{c}.{d}.",
            f"0{a:o}.{b}.0x{c << 8 | d:X}", f"{a}%2e{b}.{c}.{d}", f"{a}.{b}.{c}.{d}%2E", "".join(f"%{ord(x):02x}" for x in str(address)),
            wide(0xff10), wide(0x1d7d8), f"{a}\u3002{b}.{c}\uff0e{d}", f"{a}\u00ad.{b}.{c}\u200b.{d}",
            f"[::ffff:{address}]", f"[::ffff:{h}:{l}]", f"[0:0:0:0:0:FFFF:{h}:{l}]", f"[::{h}:{l}]", f"[64:ff9b::{h}:{l}]",
            f"[64:ff9b:1::{h}:{l}]", f"[2002:{h}:{l}::1]", f"[2001:0:{h}:{l}::f7f7:f7f7]", f"[2001:0:808:808::{inverted}]",
            f"[2600::5efe:{h}:{l}]", f"[2600::200:5efe:{h}:{l}]", f"[2002:808:808::5efe:{h}:{l}]", f"[2001:0:808:808:0:5efe:{h}:{l}]",
            f"[fd00::5efe:{h}:{l}]", f"[::ffff:0:{h}:{l}]"]


def meant(host):
    """The address of one of those."""
    return ip(host.strip("[]"))


NAMES = {"open.test": ["8.8.8.8"], "two.test": ["8.8.8.8", "1.1.1.1"], "private.test": ["10.1.1.1"],
         "mixed.test": ["8.8.8.8", "10.1.1.1"], "last.test": ["10.1.1.1", "8.8.8.8"], "meta.test": ["169.254.169.254"],
         "six.test": ["8.8.8.8", "fd00::1"], "mapped.test": ["::ffff:10.1.1.1"], "nat.test": ["64:ff9b::a01:101"],
         "open6.test": ["2606:4700::1111"], "alias.test": ["=private.test"], "openalias.test": ["=open.test"],
         "zero.test": ["0.0.0.0"], "loop.test": ["127.0.0.1"], "nothing.test": [], "many.test": [f"9.9.{n >> 8}.{n & 255}" for n in range(300)],
         "manyone.test": [*(f"9.9.{n >> 8}.{n & 255}" for n in range(299)), "10.1.1.1"],
         "named.test": ["10.1.1.1", "fd00::7"], "namedmeta.test": ["10.1.1.1", "169.254.169.254"], "x.under.test": ["10.2.2.2"],
         "under.test": ["10.2.2.2"], "xunder.test": ["10.2.2.2"], "meta.under.test": ["169.254.169.254"]}

# A URL, and the addresses that it may be seen at if it is let through; none: it is never let through.
URLS = []


def gather():
    fours = {*edges(4), *map(ip, ["1.1.1.1", "8.8.8.8", "169.254.169.254", "169.254.170.2", "10.9.9.9", "10.1.1.1", "127.255.255.254"])}
    # `lo` has it as a broadcast address, where no connection goes.
    fours.remove(ip("127.255.255.255"))
    for one in sorted(fours):
        for host in notations(one):
            URLS.append((host, [meant(host) if host[0] == "[" else one]))
    sixes = {*edges(6), *map(ip, ["2606:4700::1111", "2a00::1", "fd00:1::1", "fd00:ec2::254", "fe80::a9fe:a9fe"])}
    for one in sorted(sixes):
        for host in sorted({str(one), one.exploded, one.exploded.upper()}):
            URLS.append((f"[{host}]", [one]))
    for name, found in NAMES.items():
        while found and found[0].startswith("="):
            found = NAMES[found[0][1:]]
        for host in (name, name.upper() + "."):
            URLS.append((host, [ip(one) for one in found]))
    for host in ["none.test", "[10.1.1.1]", "[::1%25lo]", "[fe80::1%25lo]", "[localhost]", "8.8.8.8@10.1.1.1", "10.1.1.1\\@8.8.8.8",
                 "8.8.8.8\t.10.1.1.1", "10.1.1.1\n", "10.1.1.1%00", "10.1.1.1%2f", "8.8.8.8%40", "10.1.1.1..", "10.1.1.256", "1.2.3.4.5",
                 "0x100000000", "08.8.8.8", "4294967296", "8.8.8.8:80", "\u2488.1.1.1"]:
        URLS.append((host, []))


RAW = ["http://10.1.1.1:3000#@8.8.8.8/", "//10.1.1.1:3000/", "http:10.1.1.1:3000", "http:///10.1.1.1:3000/", "/\\10.1.1.1:3000/",
       "gopher://10.1.1.1:3000/", "file:///etc/passwd", " http://10.1.1.1:3000/", "http://10.1.1.1:3000 /", "ht\ntp://10.1.1.1:3000/"]

seen, lock = [], threading.Lock()
asked = {}


def listen(family):
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", PORT))
    server.listen(1024)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection, ip(connection.getsockname()[0])), daemon=True).start()


def serve(connection, address):
    with connection:
        data = connection.recv(65536)
        target = data.split(b" ")[1].decode() if data.count(b" ") > 1 else ""
        with lock:
            seen.append((address, target, time.monotonic()))
        if "/to/" in target:
            location = urllib.parse.unquote(target.split("/to/")[1])
            connection.sendall(f"HTTP/1.1 307 No\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        elif data:
            connection.sendall(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")


def answer(query):
    """What the DNS server says; none: nothing."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    question, (kind,) = query[12:at + 5], struct.unpack(">H", query[at + 1:at + 3])
    name = ".".join(labels).lower()
    found = NAMES.get(name)
    if name.startswith("dead"):
        return None
    if name.startswith("rebind"):
        # Public when it is checked, private when it is asked again.
        asked[name, kind] = asked.get((name, kind), 0) + 1
        found = ["8.8.8.8"] if asked[name, kind] == 1 else ["10.1.1.1"]
    records, owner = [], b"\xc0\x0c"
    while found and found[0].startswith("="):
        target = b"".join(bytes([len(label)]) + label.encode() for label in found[0][1:].split(".")) + b"\0"
        records.append(owner + struct.pack(">HHIH", 5, 1, 0, len(target)) + target)
        owner, found = target, NAMES[found[0][1:]]
    for one in found or []:
        packed = ip(one).packed
        if kind == (1 if len(packed) == 4 else 28):
            records.append(owner + struct.pack(">HHIH", kind, 1, 0, len(packed)) + packed)
    flags = 0x8180 if found is not None else 0x8183
    return query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)


def resolve():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.53", 53))
    while True:
        query, client = server.recvfrom(4096)
        said = answer(query)
        if said and len(said) > 512:
            # Once more over TCP.
            said = said[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + query[12:query.index(b"\0", 12) + 5]
        if said:
            server.sendto(said, client)


def resolve_long():
    server = socket.create_server(("127.0.0.53", 53))
    while True:
        connection, _ = server.accept()
        threading.Thread(target=answer_long, args=(connection,), daemon=True).start()


def answer_long(connection):
    with connection, connection.makefile("rb") as reader:
        while length := reader.read(2):
            said = answer(reader.read(*struct.unpack(">H", length)))
            connection.sendall(struct.pack(">H", len(said)) + said)


def resolver(options):
    with open(f"{folder.name}/resolv.conf", "w") as conf:
        conf.write(f"nameserver 127.0.0.53\noptions {options}\n")


def prepare():
    for command in ["ip link set lo up", "ip route add local 0.0.0.0/0 dev lo", "ip -6 route add local ::/0 dev lo"]:
        subprocess.run(command.split(), check=True)
    resolver("timeout:1 attempts:1")
    subprocess.run(["mount", "--bind", f"{folder.name}/resolv.conf", os.path.realpath("/etc/resolv.conf")], check=True)
    for target, args in [(listen, (socket.AF_INET,)), (listen, (socket.AF_INET6,)), (resolve, ()), (resolve_long, ())]:
        threading.Thread(target=target, args=args, daemon=True).start()
    open(f"{folder.name}/api.yaml", "w").write(
        "openapi: 3.1.0\npaths: {/a: {post: {responses: {'202': {description: d, content: {text/plain: {example: ok}}}},\n"
        "  callbacks: {done: {'{$request.query.cb}': {post: {}}}}}}}\n")


class Standin:
    """One with these settings of callbacks, asked from `source`."""

    def __init__(self, settings, source="127.0.0.1"):
        open(f"{folder.name}/standin.yaml", "w").write(
            "specs: [{source: api.yaml}]\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: {level: error}\n"
            f"callbacks: {{delay: 0s, retry: [], queue: 100000, {settings}}}\n")
        # Where everything would be private, and an exception for all; neither counts.
        wrong = {name: "http://10.1.1.1:3000" for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")}
        environment = {**os.environ, **wrong, "NO_PROXY": "*", "no_proxy": "*"}
        self.process = subprocess.Popen([binary, "run"], cwd=folder.name, stdout=subprocess.PIPE, text=True, env=environment)
        self.data, self.admin = [int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", self.process.stdout.readline())]
        self.connection = http.client.HTTPConnection("127.0.0.1", self.data, source_address=(source, 0), timeout=10)

    def __enter__(self):
        seen.clear()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ask(self, url):
        begun = time.perf_counter()
        self.connection.request("POST", "/a?cb=" + urllib.parse.quote(url, safe=""))
        answer = self.connection.getresponse()
        body = answer.read()
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() != "date"]
        return (answer.status, tuple(headers), body), time.perf_counter() - begun

    def left(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin)
        connection.request("GET", "/metrics", headers={"host": "localhost"})
        text = connection.getresponse().read().decode()
        value = lambda name: sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))
        return value("standin_callbacks_pending") + value("standin_callbacks_in_flight")

    def done(self):
        deadline = time.monotonic() + 120
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.1)


failures, begun = 0, time.monotonic()


def judge(what, wrong):
    global failures, begun
    took, begun = time.monotonic() - begun, time.monotonic()
    failures += bool(wrong)
    print(f"{took:4.1f} s  {what}: {wrong[:5] if wrong else 'as it should'}" + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""), flush=True)


def everything(what, settings, allowed, source="127.0.0.1"):
    """Sends to all URLs; `allowed(host, address)`: whether one address of a host is."""
    answers = set()
    with Standin(settings, source) as standin:
        for number, (host, _) in enumerate(URLS):
            answers.add(standin.ask(f"http://{host}:{PORT}/{number}")[0])
        for url in [*RAW, f"http://127.0.0.1:{standin.data}/a", f"http://127.0.0.1:{standin.admin}/api/reload"]:
            answers.add(standin.ask(url)[0])
        standin.done()
    came = {}
    for address, target, _ in seen:
        came.setdefault(target, set()).add(address)
    wrong = []
    for number, (host, found) in enumerate(URLS):
        name = host.lower().rstrip(".")
        fine = bool(found) and all(verdict(one) != "never" and allowed(name, one) for one in found)
        got = came.pop(f"/{number}", set())
        # A mapped address is seen as what it is.
        places = {ip(int(one) & 0xffffffff) if one.version == 6 and int(one) >> 32 == 0xffff else one for one in found}
        if not fine and got:
            wrong.append(f"{host} arrived at {got}")
        elif fine and not got:
            wrong.append(f"{host} did not arrive")
        elif not got <= places:
            wrong.append(f"{host} arrived at {got}, not {places}")
    # The first two of `RAW` mean it.
    if allowed("10.1.1.1", ip("10.1.1.1")) and came.pop("/", None) not in (None, {ip("10.1.1.1")}):
        wrong.append("an odd URL arrived elsewhere")
    wrong += [f"{target} arrived at {got}" for target, got in came.items()]
    wrong += [f"{len(answers)} kinds of answers"] * (len(answers) != 1)
    judge(f"{what}, {len(URLS) + len(RAW)} callbacks", wrong)


def through_a_proxy():
    with Standin(f"proxy: 'http://9.9.9.9:{PORT}', allow: [public, private, named.test]") as standin:
        bad = {f"http://{host}:{PORT}/{number}" for number, (host, found) in enumerate(URLS)
               if len(found) == 1 and not host.lower().rstrip(".").endswith(".test") and verdict(found[0]) == "never"}
        bad |= {*RAW[3:], f"http://127.0.0.1:{standin.data}/a", f"http://localhost:{standin.admin}/api/reload"}
        for url in sorted(bad):
            standin.ask(url)
        good = [f"http://{host}:{PORT}/good" for host in ("8.8.8.8", "[2606:4700::1111]", "10.1.1.1", "open.test", "named.test", "none.test")]
        for url in good:
            standin.ask(url)
        standin.done()
    with lock:
        wrong = [f"{target} at {address}" for address, target, _ in seen if address != ip("9.9.9.9") or not target.endswith("/good")]
        wrong += [f"{url} did not come" for url in good if url not in {target for _, target, _ in seen}]
    judge(f"through a proxy, {len(bad)} that are refused", wrong)


def changing_names():
    with Standin("allow: [public]") as standin:
        for number in range(60):
            standin.ask(f"http://rebind{number % 20}.test:{PORT}/rebind")
        redirects = ["http://10.1.1.1:3000/", "http://169.254.169.254:3000/", "//10.1.1.1:3000/", "http://loop.test:3000/"]
        for to in redirects:
            standin.ask(f"http://8.8.8.8:{PORT}/to/{urllib.parse.quote(to, safe='')}")
        standin.done()
    wrong = [f"{target} at {address}" for address, target, _ in seen if address != ip("8.8.8.8")]
    if len(seen) < len(redirects) + 20:
        wrong.append(f"only {len(seen)} arrived")
    judge("names that change and redirects", wrong)


def told_by_the_clock():
    times = {True: [], False: []}
    with Standin("allow: [public], per_host: 64") as standin:
        # In no order, since what is sent after an answer slows the next one down. Nobody listens there: a receiver
        # in this process would take its turn with the client.
        for number, refused in enumerate(random.Random(1).choices([True, False], k=1000)):
            _, took = standin.ask(f"http://{10 if refused else 9}.1.{number // 250}.{number % 250}:{PORT + 1}/")
            times[refused].append(took)
        standin.done()
    refused, sent = [statistics.median(times[refused]) * 1e6 for refused in (True, False)]
    apart = [f"{refused:.0f} and {sent:.0f} us"] if max(refused, sent) > 1.3 * min(refused, sent) else []
    judge(f"answers take {refused:.0f} us where the callback is refused, {sent:.0f} us where it is sent", apart)


def dead_names():
    """Names that nobody answers for, beside one that is well. A look-up of the system takes ten seconds to fail."""
    resolver("timeout:5 attempts:2")
    with Standin("allow: [public]") as standin:
        standin.ask(f"http://open.test:{PORT}/first")
        standin.done()
        for number in range(600):
            standin.ask(f"http://dead{number % 60}.test:{PORT}/dead")
        time.sleep(6)
        asked_at = {}
        for number in range(50):
            asked_at[f"/well{number}"] = time.monotonic()
            standin.ask(f"http://open.test:{PORT}/well{number}")
        deadline = time.monotonic() + 20
        while len(seen) < len(asked_at) + 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        took = {target: at - asked_at[target] for _, target, at in seen if target in asked_at}
        late = [f"{target}: {took.get(target, 99):.1f} s" for target in asked_at if took.get(target, 99) > 2]
    judge("one name beside sixty that nobody answers for", late)


def main():
    prepare()
    gather()
    public = lambda _, one: verdict(one) == "public"
    private = lambda _, one: verdict(one) == "private"
    everything("allow: [public]", "allow: [public]", public)
    everything("allow: [private]", "allow: [private]", private)
    everything("allow: [] from 10.9.9.9", "allow: []", lambda *_: False, "10.9.9.9")
    everything("allow: [peer] from 10.9.9.9", "allow: [peer]", lambda _, one: same(one) == ip("10.9.9.9"), "10.9.9.9")
    everything("allow: [peer] from loopback", "allow: [peer]", lambda _, one: same(one).is_loopback)
    denied = [ipaddress.ip_network(net) for net in ("10.1.0.0/16", "172.16.0.0/12", "8.0.0.0/8", "fd00:1::/32")]
    seen_through = lambda one: any(each in net for net in denied for each in [same(one), *ends(one)] if each.version == net.version)
    everything("networks but those denied", "allow: ['0.0.0.0/0', '::/0'], deny: [10.1.0.0/16, '::ffff:172.16.0.0/108', 8.0.0.0/8, 'fd00:1::/32', two.test]",
               lambda name, one: name != "two.test" and not seen_through(one))
    everything("names", "allow: [named.test, namedmeta.test, '*.under.test', many.test]",
               lambda name, _: name in ("named.test", "many.test") or name.endswith(".under.test"))
    changing_names()
    through_a_proxy()
    told_by_the_clock()
    dead_names()
    folder.cleanup()
    sys.stdout.flush()
    os._exit(bool(failures))


main()
