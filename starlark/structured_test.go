// Structured concurrency as seen from outside: cleanups, cancelling, eviction within built-ins.

package starlark_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senpuki/senpuki/starlark"
	"github.com/senpuki/senpuki/starlark/hosttest"
)

// structured uses every built-in that waits.
const structured = `
def job(n):
    sleep(n % 3)
    return n

def loops():
    got = [f.key for f in as_completed([bind(job, n) for n in range(4)])]
    r = attempt(list, as_completed([bind(sleep, 100)], timeout = 2))
    got.append(r.error.kind)
    for f in as_completed([bind(slow, 1, 1), bind(boom, 2)]):
        got.append(f.attempt().ok)
    return got

def guarded(m, n):
    def body():
        log.info("body")
        sleep(3)
        return n
    return m.run(shield, body)

def unread():
    slow.start(2, 1)
    spawn(job, 2)
    timer(5)
    signal("never").start()

def main():
    defer(lambda: log.info("deferred %d" % echo(1)))
    on_failure(lambda: log.info("failure %d" % echo(2)))
    m = semaphore(1)
    state = {}
    def later():
        sleep(2)
        state["go"] = True
    f = spawn(later)
    r = [
        loops(),
        attempt(loops).ok,
        race([bind(job, 2), bind(job, 1)]),
        first_ok([bind(boom, 1), bind(job, 2)])[0],
        attempt(timeout, 2, guarded, m, 1).error.kind,
        parallel.map(lambda n: guarded(m, n), range(2)),
        wait_until(lambda: state.get("go"), timeout = 60),
        attempt(wait_until, lambda: False, timeout = 1).error.kind,
        select([f], timeout = 1)[0],
        unread(),
        spawn(unread).result(),
        attempt(shield, unread).ok,
        attempt(timeout, 1, lambda: unread() or sleep(5)).ok,
    ]
    f.result()
    unread()
    return r
`

func TestStructuredSeeds(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, structured)
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
	}
}

func TestStructuredUnwoundAnywhere(t *testing.T) { // not parallel: it counts goroutines
	unwoundAnywhere(t, mustCompile(t, structured))
}

// TestCancelledAnywhere cancels the execution at each of its waits: it ends,
// its cleanups run once, and nothing is left pending.
func TestCancelledAnywhere(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, structured)
	for n := 0; n < 20; n++ {
		var journals []string
		for _, always := range []bool{false, true} {
			w := hosttest.New(hosttest.Standard())
			w.ReplayAlways = always
			w.After(time.Duration(n)*time.Second+time.Millisecond, starlark.Delivery{Kind: starlark.CancelExecution})
			_, err := w.Run(p, options)
			said := lines(w)
			if !slices.Contains(said, "deferred 1") || slices.Contains(said, "failure 2") != (err != nil) {
				t.Fatalf("cancelled after %d s: %v, %q", n, err, said)
			}
			asked, got := 0, 0
			var b strings.Builder
			for _, e := range w.Journal {
				fmt.Fprintln(&b, e)
				switch {
				case e.Command != nil && e.Command.Kind != starlark.CancelStep && e.Command.Kind != starlark.AwaitSignal:
					asked++
				case e.Delivery != nil && e.Delivery.Kind == starlark.StepOutcome:
					got++
				}
			}
			if asked != got {
				t.Errorf("cancelled after %d s: %d steps, %d outcomes", n, asked, got)
			}
			journals = append(journals, b.String())
		}
		if journals[0] != journals[1] {
			t.Fatalf("cancelled after %d s: the journals differ", n)
		}
	}
}

func lines(w *hosttest.World) []string {
	var list []string
	for _, l := range w.Lines {
		list = append(list, l.Message)
	}
	return list
}

func TestCleanups(t *testing.T) {
	t.Parallel()
	const head = `
def say(text):
    echo(text)
    print(text)
`
	for _, c := range []struct{ text, result, lines string }{
		{"def main():\n    defer(say, 1)\n    on_failure(say, 2)\n    spawn(lambda: defer(say, 3)).result()\n    return 7\n", "7", "3 1"},
		{"def main():\n    defer(say, 1)\n    on_failure(say, 2)\n    defer(say, 3)\n    fail('x')\n", "Fail: x", "3 2 1"},
		{"def main():\n    on_failure(say, 1)\n    return Err('Own', 'm')\n", "Own: m", "1"},
		{"def main():\n    on_failure(say, 1)\n    return lambda: 1\n", "PayloadError: the result of main() (x.star:5:1) cannot be stored: function lambda (defined at x.star:7:12) cannot be stored; pass data instead", "1"},
		{"def main():\n    defer(lambda: defer(say, 1))\n    defer(say, 2)\n", "null", "2 1"},
		{"def main():\n    defer(say, 1)\n    defer(boom, 'a')\n    defer(fail, 'b')\n    fail('x')\n", "Fail: x", "cleanup fail failed: Fail: b|cleanup boom failed: Boom: [\"a\"]|1"},
		{"def main():\n    on_failure(say, 1)\n    defer(fail, 'a')\n    defer(fail, 'b')\n", "Fail: b", "cleanup fail failed: Fail: a|1"},
		{"def main():\n    on_failure(say, 1)\n    defer(say, 2)\n    def wait():\n        print(attempt(sleep, 100).error.kind)\n    spawn(wait)\n    sleep(100)\n", "Cancelled: cancelled", "Cancelled 2 1"},
	} {
		for _, always := range []bool{false, true} {
			w := hosttest.New(hosttest.Standard())
			w.ReplayAlways = always
			w.After(10*time.Second, starlark.Delivery{Kind: starlark.CancelExecution})
			if !strings.Contains(c.text, "sleep") {
				w = hosttest.New(hosttest.Standard())
				w.ReplayAlways = always
			}
			b, err := w.Run(mustCompile(t, head+c.text), options)
			got := string(b)
			if err != nil {
				got = err.Error()
			}
			sep := " "
			if strings.Contains(c.lines, "|") {
				sep = "|"
			}
			if said := strings.Join(lines(w), sep); got != c.result || said != c.lines {
				t.Errorf("%s\n got %s, %s\nwant %s, %s", c.text, got, said, c.result, c.lines)
			}
		}
	}
}

// TestWaitUntilWaitsForOutside: no deadlock while a condition is open.
func TestWaitUntilWaitsForOutside(t *testing.T) {
	t.Parallel()
	_, _, err := run(t, "def main():\n    wait_until(lambda: False)\n", false)
	if !errors.Is(err, hosttest.ErrQuiet) {
		t.Error(err)
	}
	w := hosttest.New(hosttest.Standard())
	w.After(time.Second, starlark.Delivery{Kind: starlark.CancelExecution})
	if _, err := w.Run(mustCompile(t, "def main():\n    wait_until(lambda: False)\n"), options); err == nil || err.Error() != "Cancelled: cancelled" {
		t.Error(err)
	}
}

// TestNothingLeaks: a branch that starts and waits for a long time keeps no more than what is open.
func TestNothingLeaks(t *testing.T) { // not parallel: it measures the heap
	for _, body := range []string{
		"spawn(f, i).result()",
		"select([a, spawn(f, i)])",
		"attempt(a.result, timeout = 0)",
		"race([bind(f, i), bind(f, i)])",
		"timeout(5, f, i)",
		"shield(f, i)",
		"m.run(f, i)",
		"[x for x in as_completed([bind(f, i)], timeout = 5)]",
		"wait_until(lambda: True)",
	} {
		var most [2]uint64
		for i, n := range []int{500, 5000} {
			p := mustCompile(t, fmt.Sprintf("def f(i):\n    return i\ndef main():\n    m = semaphore(1)\n    a = spawn(wait_until, lambda: False)\n    for i in range(%d):\n        %s\n    log.info('end')\n    fail('end')\n", n, body))
			h := &measuring{}
			o := options
			o.MaxSteps = 1 << 40
			_, err := p.Run(h, &o)
			if err == nil || err.Error() != "Fail: end" {
				t.Fatal(body, err)
			}
			most[i] = h.heap
		}
		if most[1] > most[0]+100_000 {
			t.Errorf("%s: %d bytes of heap after 500 rounds, %d after 5000", body, most[0], most[1])
		}
	}
}

// measuring is a host that measures the heap when a script says that it ends.
type measuring struct {
	instant
	heap uint64
}

func (h *measuring) Wait() (starlark.Delivery, error) {
	if len(h.queue) == 0 {
		return starlark.Delivery{}, errors.New("nothing to wait for")
	}
	h.value = []byte("null")
	return h.instant.Wait()
}

func (h *measuring) Log(starlark.Line) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	h.heap = m.HeapAlloc
}
