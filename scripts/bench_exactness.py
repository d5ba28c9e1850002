"""What faults cost those that they do not touch, for scripts/bench."""

import json
import multiprocessing
import re
import statistics
import subprocess
import time

from bench_wire import NOBODY, PUT, RANGE, WATCH, Client, field, frame, request

WINDOW = 65535
# Credit is given when so much is owed, as grpc-go does at its default windows.
STEP = 16384

PLAN = """
faults:
  - {name: slow-big, match: {key_prefix: /registry/bench/big/}, action: {delay: {response: 300ms}}}
  - {name: lost, match: {key: /registry/bench/lost}, action: lose_reply}
  - {name: broken, match: {key: /registry/bench/broken}, action: {reset: {at: head}}}
"""

MANY = {
    "delay-request": "{delay: {request: 3ms}}",
    "delay-response": "{delay: {response: 3ms}}",
    "delay-message": "{delay: {each_response_message: 2ms}}",
    "error": "{error: no-leader}",
    "lost": "lose_reply",
    "lost-reset": "{lose_reply: {reset: INTERNAL_ERROR}}",
    "reset": "{reset: {at: request}}",
    "reset-head": "{reset: {at: head}}",
    "reset-message": "{reset: {at: message, after: 50%}}",
    "cut": "{cut_short: {after: 50%}}",
    "rate": "{rate: {bytes_per_second: 10MiB}}",
}


def calm(samples):
    """The mean of the lowest quarter: other work only ever adds."""
    lowest = sorted(samples)[: max(1, len(samples) // 4)]
    return statistics.mean(lowest)


class Neighbour:
    """A client with the windows of an API server, that judges what it gets."""

    def __init__(self, port):
        self.client = Client(port, hello=frame(4, 0, 0))
        self.sock = self.client.sock
        self.room = WINDOW
        self.owed = 0
        self.streams = {}
        self.send_room = WINDOW
        self.pinging = False
        self.goaways = []
        self.frozen = False
        self.next = 1

    def open(self, path, payload, end=True, on=None):
        """Opens a stream; `on` is given each frame of it."""
        stream, self.next = self.next, self.next + 2
        self.streams[stream] = {"room": WINDOW, "owed": 0, "on": on}
        data = request(stream, path, payload, end)
        self.send_room -= len(payload) + 5
        self.sock.sendall(data)
        return stream

    def read(self, timeout):
        """Reads what comes within `timeout` seconds."""
        self.sock.settimeout(max(timeout, 0.0005))
        try:
            part = self.sock.recv(1 << 18)
        except TimeoutError:
            return
        if not part:
            raise SystemExit("bench: the connection was closed")
        buffer = self.client.buffer
        buffer += part
        out = bytearray()
        while len(buffer) >= 9:
            length = int.from_bytes(buffer[:3], "big")
            if len(buffer) < 9 + length:
                break
            kind, flags = buffer[3], buffer[4]
            stream = int.from_bytes(buffer[5:9], "big") & 0x7FFFFFFF
            payload = bytes(buffer[9:9 + length])
            del buffer[:9 + length]
            self.frame(kind, flags, stream, payload, out)
        if out:
            self.sock.settimeout(20)
            self.sock.sendall(out)

    def frame(self, kind, flags, stream, payload, out):
        known = self.streams.get(stream)
        if kind == 0:
            self.room -= len(payload)
            if self.room < 0:
                raise SystemExit(f"bench: {-self.room} bytes more than the connection's window")
            self.owed += len(payload)
            if self.owed >= STEP and not self.frozen:
                out += frame(8, 0, 0, self.owed.to_bytes(4, "big"))
                self.room += self.owed
                self.owed = 0
            if known:
                known["room"] -= len(payload)
                if known["room"] < 0:
                    raise SystemExit(f"bench: too much DATA on stream {stream}")
                known["owed"] += len(payload)
                if known["owed"] >= STEP and not flags & 1 and not self.frozen:
                    out += frame(8, 0, stream, known["owed"].to_bytes(4, "big"))
                    known["room"] += known["owed"]
                    known["owed"] = 0
            if not self.pinging:
                # grpc-go's bandwidth probe: the same eight bytes every time.
                self.pinging = True
                out += frame(6, 0, 0, bytes([2, 4, 16, 16, 9, 14, 7, 7]))
        elif kind == 4 and not flags & 1:
            out += frame(4, 1, 0)
        elif kind == 6 and flags & 1:
            self.pinging = False
        elif kind == 6:
            out += frame(6, 1, 0, payload)
        elif kind == 7:
            self.goaways.append(payload)
        elif kind == 8 and stream == 0:
            self.send_room += int.from_bytes(payload, "big")
        if known and known["on"]:
            known["on"](kind, flags, payload)
        if known and (kind == 3 or kind in (0, 1) and flags & 1):
            del self.streams[stream]


def put_steadily(port, keys, per_second, stop):
    """Writes the time into one key after the other, at etcd itself."""
    client = Client(port)
    stream, due = 1, time.monotonic()
    while not stop.is_set():
        key = keys[(stream // 2) % len(keys)]
        payload = field(1, key) + field(2, b"T%019d" % time.monotonic_ns())
        client.sock.sendall(request(stream, PUT, payload))
        client.frames(lambda kind, flags, sid, _: sid == stream and flags & 1 and kind == 1)
        stream += 2
        due += 1 / per_second
        time.sleep(max(0, due - time.monotonic()))


def watch(neighbour, key, latencies):
    def on(kind, _flags, payload):
        if kind == 0:
            now = time.monotonic_ns()
            for told in re.findall(rb"T(\d{19})", payload):
                latencies.append((now - int(told)) / 1e3)
    neighbour.open(WATCH, field(1, field(1, key)), end=False, on=on)


class Exactness:
    """Parts of scripts/bench."""

    def plan(self, text):
        plan = self.dir / "plan.yaml"
        plan.write_text(text)
        return ["--faults", str(plan)]

    def with_plan(self, text, *more):
        return self.etcdtap(*self.plan(text), *more)

    def armed(self):
        """CPU time per call with a fault that is judged and matches nothing."""
        plain, plain_port = self.etcdtap()
        armed, armed_port = self.with_plan(NOBODY)
        print("\nCPU time per call in microseconds without a fault, and with one that is armed, has to judge every call, "
              f"and matches none (medians of {self.args.rounds} rounds, and of their ratios; goal: 1.05x). The last "
              "column is the calmest quarter of the rounds of each, where least else went on\n")
        for clients, streams in self.shapes():
            samples = {plain_port: [], armed_port: []}
            pairs = [(plain, plain_port), (armed, armed_port)]
            calls = max(self.args.calls // (8 if (clients, streams) == (1, 1) else 1), clients * streams)
            for round_ in range(-1, self.args.rounds):
                # Who comes first changes, so that a drift favours neither.
                for child, port in pairs if round_ % 2 else pairs[::-1]:
                    before = self.cpu_seconds(child.pid)
                    self.h2load(port, clients, streams, calls)
                    time.sleep(0.05)
                    if round_ >= 0:
                        samples[port].append((self.cpu_seconds(child.pid) - before) / calls * 1e6)
            without, with_ = samples[plain_port], samples[armed_port]
            ratios = sorted(b / a for a, b in zip(without, with_))
            print(f"{f'{clients}x{streams}':<10}{statistics.median(without):>8.1f}{statistics.median(with_):>8.1f}"
                  f"   {statistics.median(ratios):.3f}x  ({ratios[0]:.3f} to {ratios[-1]:.3f})"
                  f"   {calm(with_) / calm(without):.3f}x", flush=True)
        self.stop_proxies()

    def fill(self):
        writer = Client(self.etcd_port)
        value = b"x" * (1 << 20)
        for i in range(8):
            data = field(1, b"/registry/bench/big/%d" % i) + field(2, value)
            head = request(2 * i + 1, PUT, b"", end=False)
            writer.sock.sendall(head[:9 + int.from_bytes(head[:3], "big")])
            self.send_within_windows(writer, 2 * i + 1, b"\0" + len(data).to_bytes(4, "big") + data)
        for key in (b"/registry/bench/lost", b"/registry/bench/broken"):
            stream = 101 if key.endswith(b"lost") else 103
            writer.sock.sendall(request(stream, PUT, field(1, key) + field(2, b"x")))
            writer.frames(lambda kind, flags, sid, _: sid == stream and flags & 1 and kind == 1)

    def neighbours(self, watches=100, per_second=400, seconds=6):
        """100 busy watches beside a delayed 8 MB answer, a lost reply and a reset on their connection."""
        self.fill()
        proxies = {"without faults": self.etcdtap()[1], "with faults": self.with_plan(PLAN)[1]}
        keys = [b"/registry/bench/watch/%03d" % i for i in range(watches)]
        stop = multiprocessing.Event()
        writer = multiprocessing.Process(target=put_steadily, args=(self.etcd_port, keys, per_second, stop))
        writer.start()
        neighbours, latencies, results = {}, {}, {name: ([], []) for name in proxies}
        for name, port in proxies.items():
            neighbours[name], latencies[name] = Neighbour(port), []
            for key in keys:
                watch(neighbours[name], key, latencies[name])
        try:
            for round_ in range(-1, self.args.rounds):
                for name, neighbour in neighbours.items():
                    # The other one's events of meanwhile are none of this round's.
                    self.run_for(neighbour, 0.5)
                    latencies[name].clear()
                    self.run_for(neighbour, seconds, calls=True)
                    got = sorted(latencies[name])
                    if round_ >= 0:
                        results[name][0].append(statistics.median(got))
                        results[name][1].append(got[len(got) * 99 // 100])
        finally:
            stop.set()
            writer.join()
        print(f"\n{watches} watches with {per_second} events a second in all, on one connection with 65,535 byte windows; "
              f"each second an 8 MB answer, a write and a read on the same connection, which are delayed by 300 ms, lost "
              f"and reset where there are faults. From the write at etcd to the event at the client, in microseconds "
              f"(median of {self.args.rounds} rounds of {seconds} s; goal: p99 1.1x)\n")
        for name, (middle, high) in results.items():
            print(f"{name:<16} p50 {statistics.median(middle):>8.0f}   p99 {statistics.median(high):>8.0f}   "
                  f"each round's p99: {' '.join(f'{n:.0f}' for n in high)}")
        p99 = [statistics.median(high) for _, high in results.values()]
        print(f"p99 with faults / without: {p99[1] / p99[0]:.3f}x")
        for name, neighbour in neighbours.items():
            if neighbour.goaways:
                print(f"{name}: GOAWAY {neighbour.goaways}")
        self.stop_proxies()

    @staticmethod
    def run_for(neighbour, seconds, calls=False):
        end, due = time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < end:
            if calls and time.monotonic() >= due:
                due += 1
                neighbour.open(RANGE, field(1, b"/registry/bench/big/") + field(2, b"/registry/bench/big0"))
                neighbour.open(PUT, field(1, b"/registry/bench/lost") + field(2, b"y"))
                neighbour.open(RANGE, field(1, b"/registry/bench/broken"))
            neighbour.read(0.01)

    def many(self, faults=10000, at_once=8):
        """10,000 faults on one connection: windows end where they began, and nobody is told to go."""
        plan = "faults:\n" + "".join(
            f"  - {{name: {name}, match: {{key_prefix: /registry/many/{name}/}}, action: {action}}}\n"
            for name, action in MANY.items())
        admin = self.dir / "admin.sock"
        _, port = self.with_plan(plan, "--admin", f"unix:{admin}")
        writer = Client(self.etcd_port)
        for i, name in enumerate(MANY):
            put = field(1, f"/registry/many/{name}/k".encode()) + field(2, b"v" * 6000)
            writer.sock.sendall(request(2 * i + 1, PUT, put))
            writer.frames(lambda kind, flags, sid, _: sid == 2 * i + 1 and flags & 1 and kind == 1)
        # A reply as large as the client's window, prefix and header counted, is what shows etcd's view of it.
        neighbour, latencies = Neighbour(port), []
        keys = [b"/registry/many/watch/%02d" % i for i in range(20)]
        for key in keys:
            watch(neighbour, key, latencies)
        stop = multiprocessing.Event()
        process = multiprocessing.Process(target=put_steadily, args=(self.etcd_port, keys, 100, stop))
        process.start()
        names, done, opened, began = list(MANY), 0, 0, time.monotonic()
        busy = set()
        while done < faults:
            due = (time.monotonic() - began) / self.args.seconds * faults
            while opened < min(due, faults) and len(busy) < at_once:
                name = names[opened % len(names)]
                key = f"/registry/many/{name}/k".encode()

                def on(kind, flags, _payload, opened=opened):
                    if kind == 3 or kind in (0, 1) and flags & 1:
                        busy.discard(opened)
                busy.add(opened)
                neighbour.open(RANGE, field(1, key), on=on)
                opened += 1
            before = len(busy)
            neighbour.read(0.005)
            done += before - len(busy)
        took = time.monotonic() - began
        stop.set()
        process.join()
        self.quiet(neighbour)
        text = subprocess.run([str(self.binary), "fault", "list", "--json", "--admin", f"unix:{admin}"],
                              capture_output=True, text=True, check=True).stdout
        listed = json.loads(text)
        listed = listed["faults"] if isinstance(listed, dict) else listed
        hits = sum(fault["hits"] for fault in listed)
        print(f"\n{hits} faults of {len(listed)} kinds on one connection in {took:.0f} s, beside {len(latencies)} watch events")
        print(f"GOAWAY: {len(neighbour.goaways)}")
        print(f"the client may send {neighbour.send_room} bytes (it began with {WINDOW}; etcd credits in steps of at most a quarter)")
        print(f"etcd may send {self.last_words(neighbour)} bytes more without credit (the client has granted {WINDOW})")
        self.stop_proxies()

    @staticmethod
    def quiet(neighbour):
        """Reads until nothing comes any more, and then pays what is owed."""
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            neighbour.read(0.1)
        if neighbour.owed:
            neighbour.sock.sendall(frame(8, 0, 0, neighbour.owed.to_bytes(4, "big")))
            neighbour.room += neighbour.owed
            neighbour.owed = 0
        time.sleep(0.3)

    def last_words(self, neighbour):
        """How much comes of answers that are larger than the window, while nothing is credited."""
        neighbour.frozen = True
        room = neighbour.room
        for _ in range(2):
            # Two streams, for one stream's own window is as large as the connection's.
            neighbour.open(RANGE, field(1, b"/registry/many/") + field(2, b"/registry/many0"))
        end = time.monotonic() + 2
        while time.monotonic() < end:
            neighbour.read(0.1)
        return room - neighbour.room
