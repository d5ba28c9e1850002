"""What recording costs: CPU time a call, losses at the rate etcd sustains, bytes
on the disk, and how fast a recording answers a question."""

import os
import shutil
import statistics
import subprocess
import time


class Recording:
    """Parts of scripts/bench; it brings the processes and h2load."""

    def record(self):
        proxies = self.proxies()
        proxies = {name: proxies[name] for name in ("etcdtap", "haproxy tcp") if name in proxies}
        folder = self.dir / "recordings"
        folder.mkdir()
        child, port = self.etcdtap("--record", str(folder / "calls.mcap"), log=False)
        proxies["recording"] = (child.pid, port)
        child, port = self.etcdtap("--record", str(folder / "plain.mcap"), "--record-compression", "none", log=False)
        proxies["uncompressed"] = (child.pid, port)
        child, port = self.etcdtap("--record", str(folder / "both.mcap"))
        proxies["with the log"] = (child.pid, port)
        print(f"\nCPU time per call in microseconds with --record (unary Range, 1 KB value; median of {self.args.rounds} "
              f"rounds), and the ratio to haproxy tcp (goal: 1.5x). A recording holds the log's lines: with --log off "
              f"it is all that is written; `etcdtap` writes a JSON log and no recording, `with the log` both\n")
        header = f"{'connections x streams':<24}" + "".join(f"{name:>22}" for name in proxies)
        print(header + "\n" + "-" * len(header))
        for clients, streams in self.shapes():
            samples = {name: [] for name in proxies}
            for round_ in range(-1, self.args.rounds):
                for name, (pid, port) in proxies.items():
                    calls = self.args.calls if round_ >= 0 else 2000
                    calls = max(calls // (8 if (clients, streams) == (1, 1) else 1), clients * streams)
                    before = self.cpu_seconds(pid)
                    self.h2load(port, clients, streams, calls)
                    if name != "haproxy tcp":
                        # What waits is written within a second.
                        time.sleep(1.2)
                    if round_ >= 0:
                        samples[name].append((self.cpu_seconds(pid) - before) / calls * 1e6)
            medians = {name: statistics.median(values) for name, values in samples.items()}
            base = medians.get("haproxy tcp")
            row = f"{f'{clients}x{streams}':<24}"
            for value in medians.values():
                ratio = f"{value / base:.2f}x" if base else ""
                row += f"{value:>13.1f}  {ratio:>6} "
            print(row, flush=True)
        self.stop_proxies()
        self.say_losses()

    def say_losses(self):
        text = (self.dir / "etcdtap.err").read_text()
        for line in text.splitlines():
            if "not recorded" in line or "left out" in line:
                print("lost:", line)
                break
        else:
            print("nothing was left out of any recording")

    def disk(self):
        """Bytes on the disk a call, beside tcpdump and zstd of the same calls."""
        folder = self.dir / "disk"
        folder.mkdir()
        child, port = self.etcdtap("--record", str(folder / "calls.mcap"))
        dump = None
        if shutil.which("tcpdump"):
            dump = subprocess.Popen(["tcpdump", "-i", "lo", "-w", str(folder / "calls.pcap"), "-s", "0", "-B", "65536",
                                     "tcp", "port", str(port)], stderr=subprocess.DEVNULL)
            time.sleep(1)
        calls = self.args.calls
        started = time.time()
        rate = self.h2load(port, 4, 8, calls)
        took = time.time() - started
        time.sleep(1.5)
        if dump:
            dump.terminate()
            dump.wait()
        from_child = child
        from_child.terminate()
        from_child.wait()
        recorded = sum(file.stat().st_size for file in folder.glob("calls*.mcap"))
        print(f"\n{calls} calls in {took:.1f} s ({rate:.0f} a second): the recording has {recorded / calls:.0f} bytes a call")
        if dump:
            pcap = folder / "calls.pcap"
            packed = folder / "calls.pcap.zst"
            subprocess.run(["zstd", "-q", "-3", "-f", str(pcap), "-o", str(packed)], check=True)
            print(f"tcpdump: {pcap.stat().st_size / calls:.0f} bytes a call, {packed.stat().st_size / calls:.0f} with zstd -3")
        else:
            print("tcpdump is not on PATH: left out")

    def query(self, gigabytes=1):
        """How long a question to a large recording takes."""
        folder = self.dir / "query"
        folder.mkdir()
        path = os.environ.get("ETCDTAP_BENCH_RECORDING")
        if not path:
            path = str(folder / "calls.mcap")
            child, port = self.etcdtap("--record", path, "--record-compression", "none", log=False)
            key = b"/registry/configmaps/default/bench"
            while sum(f.stat().st_size for f in folder.iterdir()) < gigabytes << 30:
                self.h2load(port, 4, 8, 100_000)
            rare = self.dir / "rare"
            from bench_wire import field, message
            (self.dir / "range").write_bytes(message(field(1, b"/registry/pods/lab/rare")))
            self.h2load(port, 1, 1, 1)
            (self.dir / "range").write_bytes(message(field(1, key)))
            del rare
            child.terminate()
            child.wait()
        size = os.path.getsize(path)
        for name, question in [("one key", ["--key", "/registry/pods/lab/rare"]), ("the last second", ["--from", "-1s"])]:
            times = []
            lines = 0
            for _ in range(3):
                started = time.time()
                out = subprocess.run([str(self.binary), "show", path, "--log", "json", *question], capture_output=True)
                times.append(time.time() - started)
                lines = out.stdout.count(b"\n")
            print(f"{name} of {size / (1 << 30):.2f} GiB: {statistics.median(times):.3f} s, {lines} lines (goal: 1 s)")
