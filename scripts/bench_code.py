"""What a call costs in instructions and in cache lines of code, for scripts/bench."""

import re
import shutil
import subprocess
import sys
import time

from bench_wire import NOBODY

WARM_UP = 500


class Code:
    """Parts of scripts/bench."""

    def code(self):
        """User instructions and first-level cache misses of code per call, without a fault and with one that is armed."""
        if not shutil.which("callgrind_control"):
            sys.exit("bench: no valgrind on PATH (Debian: apt-get install valgrind)")
        calls = min(self.args.calls, 3000)
        counts = {}
        for name, more in [("without a fault", []), ("with one that matches nothing", self.plan(NOBODY))]:
            out = self.dir / f"callgrind.{len(counts)}"
            child, port = self.etcdtap(*more, under=["valgrind", "-q", "--tool=callgrind", "--cache-sim=yes",
                                                     f"--callgrind-out-file={out}"], seconds=60)
            self.h2load(port, 1, 1, WARM_UP)
            self.callgrind("-z", child.pid)
            self.h2load(port, 1, 1, calls)
            time.sleep(0.5)  # its log is written a moment later
            self.callgrind("-d", child.pid)
            self.stop(child)
            counts[name] = per_function(out.with_name(out.name + ".1").read_text(), calls)
        print(f"\nInstructions outside of the kernel, and lines of code that the first-level cache lacks, per call at 1x1 "
              f"(valgrind's model of the cache; {calls} calls)\n")
        for name, functions in counts.items():
            print(f"{name:<32}{sum(f[0] for f in functions.values()):>10.0f}{sum(f[1] for f in functions.values()):>8.0f}")
        plain, armed = counts.values()
        none = (0, 0)
        more = {f: (armed.get(f, none)[0] - plain.get(f, none)[0], armed.get(f, none)[1] - plain.get(f, none)[1])
                for f in plain.keys() | armed.keys()}
        print(f"\n{'more with the fault, by function':<32}")
        for function, (instructions, lines) in sorted(more.items(), key=lambda item: -abs(item[1][1])):
            if abs(lines) >= 0.5 or abs(instructions) >= 20:
                print(f"  {function[-100:]:<100}{instructions:>8.0f}{lines:>8.1f}")

    @staticmethod
    def callgrind(what, pid):
        subprocess.run(["callgrind_control", what, str(pid)], check=True, capture_output=True)


def per_function(text, calls):
    """function -> (instructions, misses of code) a call; of a file that callgrind wrote."""
    names, costs, function, skip = {}, {}, None, False
    events = re.search(r"^events: (.*)$", text, re.M)[1].split()
    ir, i1 = events.index("Ir") + 1, events.index("I1mr") + 1
    for line in text.splitlines():
        if line.startswith("fn="):
            number, _, name = line[3:].partition(" ")
            if name:
                names[number] = name
            function = names[number]
        elif line.startswith("cfn="):
            number, _, name = line[4:].partition(" ")
            if name:
                names[number] = name
        elif line.startswith("calls="):
            skip = True  # the next line counts what was called
        elif line[:1] in "+-*" or line[:1].isdigit():
            if not skip and function:
                fields = line.split()
                cost = costs.setdefault(function, [0, 0])
                cost[0] += int(fields[ir]) if len(fields) > ir else 0
                cost[1] += int(fields[i1]) if len(fields) > i1 else 0
            skip = False
    short = {}
    for function, cost in costs.items():
        name = re.sub(r"::h[0-9a-f]{16}\b", "", function)
        total = short.setdefault(name, [0, 0])
        total[0] += cost[0] / calls
        total[1] += cost[1] / calls
    return short
