// Running: eviction, cancelling, budgets, order, names of steps.

package starlark_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/senpuki/senpuki/starlark"
	"github.com/senpuki/senpuki/starlark/hosttest"
)

const busy = `
def leaf(n):
    sleep(n % 3)
    return attempt(add, n, 1).value

def branch(n):
    f = spawn(leaf, n)
    return f.result() + sum(parallel.map(leaf, range(n), limit = 2))

def main():
    log.info("start")
    r = parallel.map(branch, range(4))
    e = attempt(parallel, [bind(late, 1), bind(slow, 9, 1), lambda: sleep(50)]).error
    print(e.kind)
    return [r, uuid4(), str(time.now()), e.message]
`

func mustCompile(t testing.TB, text string) *starlark.Program {
	t.Helper()
	p, err := compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSeededOrderReplays(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, busy)
	for seed := range uint64(20) {
		plain, always := hosttest.New(hosttest.Standard()), hosttest.New(hosttest.Standard())
		plain.Seed, always.Seed = seed, seed
		always.ReplayAlways = true
		a, err := plain.Run(p, options)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		b, err := always.Run(p, options)
		if err != nil || string(a) != string(b) {
			t.Fatalf("seed %d: %s %v, want %s", seed, b, err, a)
		}
		sameJournal(t, plain, always)
		c, err := plain.Replay(p, options)
		if err != nil || string(c) != string(a) {
			t.Fatalf("seed %d: replayed %s %v, want %s", seed, c, err, a)
		}
		if len(plain.Lines) != 2 || always.Runs < 20 {
			t.Fatalf("%d lines, %d runs", len(plain.Lines), always.Runs)
		}
	}
}

// stopping is a host that fails at its nth call.
type stopping struct {
	starlark.Host
	left int
	err  error
}

func (h *stopping) hit() bool { h.left--; return h.left < 0 }

func (h *stopping) Issue(c starlark.Command) error {
	if h.left < 0 {
		panic(fmt.Sprintf("a command after its end: %s %s", c.Kind, c.Step))
	}
	if h.hit() {
		return h.err
	}
	return h.Host.Issue(c)
}

func (h *stopping) Wait() (starlark.Delivery, error) {
	if h.hit() {
		return starlark.Delivery{}, h.err
	}
	return h.Host.Wait()
}

func (h *stopping) Log(l starlark.Line) {
	if h.left < 0 {
		panic("script code ran after its end: " + l.Message)
	}
	h.Host.Log(l)
}

func TestUnwoundAnywhere(t *testing.T) { // not parallel: it counts goroutines
	unwoundAnywhere(t, mustCompile(t, strings.ReplaceAll(busy, "    sleep(n % 3)", "    attempt(attempt, sleep, n % 3)\n    print(n)")))
}

// unwoundAnywhere stops a script at each of its calls of the host.
func unwoundAnywhere(t *testing.T, p *starlark.Program) {
	t.Helper()
	before := runtime.NumGoroutine()
	for n := 0; ; n++ {
		h := &stopping{Host: hosttest.New(hosttest.Standard()).Host(), left: n, err: starlark.ErrEvicted}
		if n%2 == 1 {
			h.err = errors.New("own error")
		}
		_, err := p.Run(h, &options)
		if err == nil {
			if n < 40 {
				t.Fatal("it ended too early", n)
			}
			break
		}
		if err != h.err {
			t.Fatalf("stopped at %d: %v", n, err)
		}
	}
	for n := 0; runtime.NumGoroutine() > before; n++ { // the last may not be off the processor yet
		if n == 1_000_000 {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}

func TestStuck(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"def main():\n    while True:\n        pass\n":                                                              "x.star:2:5: ",
		"def main():\n    x = 1\n    while x:\n        x = 2\n":                                                     "x.star:3:",
		"def main():\n    x = 0\n    while not x:\n        if x:\n            pass\n":                               "x.star:4:",
		"def main():\n    for i in range(1 << 40):\n        pass\n":                                                 "x.star:2:5: ",
		"def f():\n    while True:\n        pass\ndef main():\n    while True:\n        attempt(f)\n":               "x.star:2:5: ",
		"def f():\n    while True:\n        pass\ndef main():\n    attempt(parallel, [f, f])\n":                     "x.star:2:5: ",
		"def main():\n    while True:\n        max(range(100000))\n":                                                "x.star:3:",
		"def f():\n    print(info.id)\n    while True:\n        pass\ndef main():\n    attempt(parallel, [f, f])\n": "x.star:3:5: ",
	} {
		_, _, err := run(t, text, false)
		var stuck *starlark.StuckError
		if !errors.As(err, &stuck) || !strings.HasPrefix(stuck.Reason, want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, _, err := run(t, "def main():\n    for i in range(50):\n        for j in range(20000):\n            pass\n        sleep(1)\n", false); err != nil {
		t.Error("a turn's budget outlived the turn:", err)
	}
}

func TestCancelExecution(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"def main():\n    sleep(100)\n": "Cancelled: stop",
		"def main():\n    e = attempt(sleep, 100).error\n    sleep(1)\n    return [e.kind, time.now().second]\n":                                                                            `["Cancelled",11]`,
		"def main():\n    log = []\n    def f():\n        log.append(attempt(slow, 100, 1).error.kind)\n        sleep(1)\n    attempt(parallel, [f, bind(slow, 100, 1)])\n    return log\n": `["Cancelled"]`,
		"def main():\n    spawn(sleep, 100)\n": "Cancelled: stop",
	} {
		for _, always := range []bool{false, true} {
			w := hosttest.New(hosttest.Standard())
			w.ReplayAlways = always
			w.After(10*time.Second, starlark.Delivery{Kind: starlark.CancelExecution, Failure: &starlark.Failure{Kind: "Cancelled", Message: "stop"}})
			b, err := w.Run(mustCompile(t, text), options)
			got := string(b)
			if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%s\n got %s\nwant %s", text, got, want)
			}
		}
	}
}

// What a machine takes for its zone, or has in place of a zone, is not a script's business.
func TestZones(t *testing.T) {
	t.Setenv("TZ", "Asia/Tokyo")
	t.Setenv("ZONEINFO", t.TempDir())
	const refused = `the zone Local is another one on each machine: name it, as in "Europe/Paris"`
	for text, want := range map[string]string{
		`time.from_timestamp(0).in_location("Europe/Paris").hour`:                                 "1",
		`time.time(year=2030, month=7, hour=3, location="Europe/Paris").in_location("UTC").hour`:  "1",
		`time.parse_time("2030-01-01T00:00:00+09:00").in_location("Asia/Tokyo").hour`:             "0",
		`str(time.parse_time("2030-01-01 05:00", "2006-01-02 15:04", "Asia/Tokyo"))`:              `"2030-01-01 05:00:00 +0900 JST"`,
		`str(time.from_timestamp(0).in_location("Europe/Paris") + time.hour)`:                     `"1970-01-01 02:00:00 +0100 CET"`,
		`(time.from_timestamp(9) - time.from_timestamp(4)).seconds`:                               "5.0",
		`str(time.from_timestamp(9) - time.second)`:                                               `"1970-01-01 00:00:08 +0000 UTC"`,
		`str(time.second + time.from_timestamp(9))`:                                               `"1970-01-01 00:00:10 +0000 UTC"`,
		`sorted([time.from_timestamp(9), time.from_timestamp(4)])[0].unix`:                        "4",
		`{time.from_timestamp(9): 1}[time.from_timestamp(9)]`:                                     "1",
		`attempt(lambda: time.second - time.from_timestamp(9)).error.message`:                     `"unknown binary op: time.duration - time.time"`,
		`attempt(lambda: time.from_timestamp(0).in_location("Local")).error.message`:              `"in_location: ` + strings.ReplaceAll(refused, `"`, `\"`) + `"`,
		`attempt(lambda: time.time(year=2030, location="Local")).error.message`:                   `"time.time: ` + strings.ReplaceAll(refused, `"`, `\"`) + `"`,
		`attempt(lambda: time.parse_time("x", "15:04", "Local")).error.message`:                   `"time.parse_time: ` + strings.ReplaceAll(refused, `"`, `\"`) + `"`,
		`[time.is_valid_timezone(z) for z in ["Local", "UTC", "", "Asia/Tokyo", "Asia/Nowhere"]]`: "[false,true,true,true,false]",
	} {
		b, _, err := run(t, "def main():\n    return "+text+"\n", false)
		if err != nil || string(b) != want {
			t.Errorf("%s: %s, %v, want %s", text, b, err, want)
		}
	}
}

func TestNamesOfSteps(t *testing.T) {
	t.Parallel()
	_, w, err := run(t, `
def f():
    null()
    parallel([null, null])
def main():
    null()
    parallel([null, f])
    spawn(f).result()
    null.start()
    sleep(1)
`, false)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, e := range w.Journal {
		if e.Command != nil {
			steps = append(steps, e.Command.Step)
		}
	}
	if got, want := strings.Join(steps, " "), "1 2.1 2.2.1 2.2.2.1 2.2.2.2 3.1 3.2.1 3.2.2 4 5"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if w.Journal[0].Command.Pos != "x.star:6:9" {
		t.Error(w.Journal[0].Command.Pos)
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`Ok([1])`:                `[1]`,
		`Err("Nope", "no", a=1)`: `Nope: no`,
		`lambda: 1`:              `PayloadError: the result of main() (x.star:1:1) cannot be stored: function lambda (defined at x.star:2:12) cannot be stored; pass data instead`,
		`[range(2)]`:             `PayloadError: the result of main() (x.star:1:1) cannot be stored: at [0]: range cannot be stored; write list(x)`,
		`"ab".elems()`:           `PayloadError: the result of main() (x.star:1:1) cannot be stored: string.elems cannot be stored; write list(x)`,
		`"x" * 3000000`:          `PayloadError: the result of main() (x.star:1:1) cannot be stored: the value is larger than 1048576 bytes`,
		`float("nan")`:           `PayloadError: the result of main() (x.star:1:1) cannot be stored: NaN is not a number that can be stored`,
	} {
		b, _, err := run(t, "def main():\n    return "+text+"\n", false)
		got := string(b)
		if err != nil {
			var f *starlark.Failure
			if !errors.As(err, &f) {
				t.Fatal(err)
			}
			got = f.Error()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestRandomIsKeyed(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, "def main():\n    return [uuid4()] + parallel([uuid4, uuid4])\n")
	seen := map[string]bool{}
	for _, info := range []starlark.Info{{ID: "a", Run: 1}, {ID: "a", Run: 2}, {ID: "b", Run: 1}} {
		o := options
		o.Info = info
		a, err := hosttest.New(nil).Run(p, o)
		b, _ := hosttest.New(nil).Run(p, o)
		if err != nil || string(a) != string(b) {
			t.Fatal(err)
		}
		for _, id := range strings.Split(strings.Trim(string(a), "[]"), ",") {
			if seen[id] {
				t.Error("an id twice:", id)
			}
			seen[id] = true
		}
	}
}

func TestThousandsOfBranches(t *testing.T) {
	t.Parallel()
	b, _, err := run(t, "def f(n):\n    sleep(n % 7)\n    return n\ndef main():\n    return sum(parallel.map(f, range(10000)))\n", false)
	if err != nil || string(b) != fmt.Sprint(9999*5000) {
		t.Fatal(string(b), err)
	}
}

// panicking is a host that panics at its nth wait.
type panicking struct {
	starlark.Host
	left int
}

func (h *panicking) Wait() (starlark.Delivery, error) {
	if h.left--; h.left < 0 {
		panic("broken host")
	}
	return h.Host.Wait()
}

func TestPanicCostsOneScript(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, busy)
	for n := 0; ; n++ {
		_, err := p.Run(&panicking{Host: hosttest.New(hosttest.Standard()).Host(), left: n}, &options)
		if err == nil {
			if n < 20 {
				t.Fatal("it ended too early", n)
			}
			break
		}
		var stuck *starlark.StuckError
		if !errors.As(err, &stuck) || !strings.Contains(stuck.Reason, "broken host") {
			t.Fatal(n, err)
		}
	}
}

// TestPositionsOfCallsByBuiltins checks that a step which a built-in asks for stands where that is called.
func TestPositionsOfCallsByBuiltins(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, `def main():
    attempt(add, 1, 2)
    add.attempt(1, 2)
    bind(add, 1)(2)
    timeout("5s", add, 1, 2)
    shield(add, 1, 2)
    spawn(add.attempt, 1, 2)
    spawn(attempt, wait_signal, "y", timeout = "1s").result()
    spawn(wait_signal, "y", timeout = 1, default = 0).result()
    parallel([bind(attempt, add, 1, 2)])
`)
	w := hosttest.New(hosttest.Standard())
	if _, err := w.Run(p, options); err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, e := range w.Journal {
		if c := e.Command; c != nil && (c.Kind == starlark.CallActivity || c.Kind == starlark.AwaitSignal) {
			_, line, _ := strings.Cut(e.Command.Pos, ":")
			at = append(at, line)
		}
	}
	if got, want := fmt.Sprint(at), "[2:12 3:16 4:17 5:12 6:11 7:10 8:10 9:10 10:13]"; got != want {
		t.Errorf("steps stand at %s, want %s", got, want)
	}
}

func TestAResultThatJSONCannotSayFails(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{1: "a", "1": "b"}`:      `the keys 1 and "1" are one in JSON`,
		`{"é"[:1]: 1}`:            `"\xc3" is not UTF-8`,
		`time.time(year = 10001)`: `a time in the year`,
	} {
		_, _, err := run(t, "def main():\n    return "+text+"\n", false)
		if err == nil || !strings.HasPrefix(err.Error(), "PayloadError: the result of main()") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
