package engine

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// The journals in testdata/replay were recorded once and replay for ever: what
// a release writes, every later one reads. A new stored form, or a new edition,
// adds files and never changes one. To record what is missing:
//
//	go test ./engine -run TestRecordedJournals -record
var record = flag.Bool("record", false, "record the journals that testdata/replay lacks")

func TestRecordedJournals(t *testing.T) {
	t.Parallel()
	if *record {
		recordJournals(t)
	}
	files, err := filepath.Glob("testdata/replay/*.json")
	if err != nil || len(files) < len(recordings) {
		t.Fatalf("%d journals, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			x, err := ParseExport(text)
			if err != nil {
				t.Fatal(err)
			}
			for n, row := range x.Rows {
				if _, err := checkRow(backend.Row{Number: int64(n), Data: row}); err != nil {
					t.Error(err)
				}
			}
			v, err := x.Replay(t.Context(), nil)
			if err != nil || !v.Fits || v.From != v.To {
				t.Errorf("%+v %v", v, err)
			}
		})
	}
}

// recording is an execution whose journal is kept.
type recording struct {
	name, script string
	signals      []string
	act          func(t *testing.T, w *world, e *Engine, id string) // after a minute
	dispatch     DispatchOptions
	export       string // of another execution, whose journal is kept in its place
}

var recordings = []recording{
	{name: "steps", script: crashScript},
	{name: "others", script: crashOthers},
	{name: "language", script: languageScript},
	{name: "concurrency", script: concurrencyScript, signals: []string{"a", "b"}},
	{name: "tasks", script: `
def main():
    add = activity("add")
    far = add.options(queue = "elsewhere", start_timeout = "20s")
    memo = add.options(cached = True, version = "2")
    narrow = add.options(max_concurrent = 2)
    return [far.attempt(1, 2).error.kind, memo(1, 2), memo(1, 2), narrow.starmap([(i, i) for i in range(5)]), activity("boom").options(retry = retry_policy(max_attempts = 2)).attempt("Bad").error.attempts]
`},
	{name: "failed", script: `
def main():
    on_failure(activity("echo"), "undo")
    activity("add")(1, 2)
    activity("boom", retry = retry_policy(max_attempts = 2))("Bad")
`},
	{name: "cancelled", script: `
def main():
    defer(activity("echo"), "cleaned")
    activity("add")(1, 2)
    wait_signal("never")
`, act: func(t *testing.T, _ *world, e *Engine, id string) {
		if err := e.Cancel(t.Context(), id, "enough"); err != nil {
			t.Fatal(err)
		}
	}},
	{name: "rerun", script: `
def main():
    a = activity("add")(1, 2)
    wait_signal("go")
    return activity("flaky", retry = retry_policy(max_attempts = 1))(a)
`, signals: []string{"go"}, act: func(t *testing.T, _ *world, e *Engine, id string) {
		if err := e.Retry(t.Context(), id, RerunOptions{}); err != nil {
			t.Fatal(err)
		}
	}},
	// forked_before is of a release whose forks drew the same random numbers as their originals to the end.
	{name: "forked_before", script: drawingScript, act: forkOf, export: "recorded-fork"},
	{name: "forked", script: drawingScript, act: forkOf, export: "recorded-fork"},
	{name: "upgraded", script: upgradeOld, act: func(t *testing.T, w *world, e *Engine, id string) {
		if v, err := e.Upgrade(t.Context(), id, w.digestOf(e, upgradeNew)); err != nil || !v.Moved {
			t.Fatal(v, err)
		}
		if err := e.Signal(t.Context(), id, "go", []byte("5")); err != nil {
			t.Fatal(err)
		}
	}},
	{name: "tried_again", script: thirdTime, signals: []string{"go"}, dispatch: DispatchOptions{
		Retry: &activities.RetryPolicy{MaxAttempts: 3, InitialDelay: time.Second},
	}},
	{name: "tried_later", script: `
def main():
    begun = time.now()
    sleep("2s")
    activity("echo")([info.run, begun, time.now(), info.started_at])
    if info.run < 3:
        error("NotYet")
`, dispatch: DispatchOptions{Retry: &activities.RetryPolicy{MaxAttempts: 3, InitialDelay: 5 * time.Second}}},
}

// drawingScript tells an activity what random numbers it draws.
const drawingScript = `
echo = activity("echo")
def leg(n):
    return echo([n, random.random()])
def main():
    a = echo([uuid4(), random.random()])
    b = echo(uuid4())
    return [a, b, parallel.map(leg, [1, 2]), echo(uuid4())]
`

func forkOf(t *testing.T, _ *world, e *Engine, id string) {
	t.Helper()
	if _, err := e.Fork(t.Context(), id, RerunOptions{From: "2", ID: "recorded-fork"}); err != nil {
		t.Fatal(err)
	}
}

// languageScript shows an activity what the language says: its arguments are compared on replay.
const languageScript = `
echo = activity("echo")

def ranges():
    out = []
    i = 0
    while i < 3:
        i += 1
        out.append(i * i)
    return out

def main():
    echo([random.random(), random.randint(1, 6), random.choice("abc".elems()), random.sample(range(20), 5), uuid4(), random.uniform(0, 2)])
    deck = list(range(10))
    random.shuffle(deck)
    echo(deck)
    sleep("90s")
    echo([time.now(), time.now() - time.parse_duration("1h"), time.time(year = 2030, month = 2, day = 3).format("2006-01-02")])
    echo([re.sub(r"(\w+)@", "<$1>", "ada@x bob@y"), re.findall("[0-9]+", "a1b22"), base64.b64encode("hello"), hashlib.sha256("x").hexdigest()])
    echo([json.encode({"b": 1, "a": [1.5, None, True]}), json.decode("[1, 2.0, 1e3]"), 1 << 70, -7 // 2, -7 % 3, 7.0 / 2, 1e300 * 10, 0.1 + 0.2])
    echo(["%d|%s|%r|%s" % (3, "x", "y", [1]), "{}-{a}".format(1, a = 2), fmt(3.14159, ".2f"), round(2.675, 2), sum([1, 2, 3]), ranges()])
    echo([sorted({"z": 1, "a": 2}), {"z": 1, "a": 2}, (1, "t"), set([3, 1]), b"\x00\xff", struct(x = 1), Ok(5), math.sqrt(2), math.floor(2.5)])
    echo([isinstance(1, "int"), bool([]), min(3, 1), max([4, 9]), list(enumerate(["a"])), list(zip([1], [2])), list(reversed([1, 2])), "a,b".split(","), hash("senpuki")])
    r = attempt(lambda: int("x"))
    echo([r.ok, r.error.kind, str(r.error)])
    state.set("k", {"n": 1})
    progress(0.5, "half")
    counter("c").add(3)
    return [info.run, info.workflow]
`

const concurrencyScript = `
add = activity("add")
nap = activity("nap")

def leg(n):
    sleep("%dms" % (n * 10))
    return add(n, n)

def main():
    a = parallel([bind(leg, 3), bind(leg, 1)], limit = 1)
    key, first = race({"slow": bind(leg, 50), "fast": bind(leg, 2)})
    fs = [spawn(leg, i) for i in (4, 2, 3)]
    order = [f.result() for f in as_completed(fs)]
    late = attempt(timeout, "5ms", leg, 9)
    sem = semaphore(1)
    b = parallel.map(lambda i: sem.run(leg, i), range(3))
    who, f = select([signal("a").start(), timer("1h")])
    shield(leg, 1)
    ch = signal("b")
    got = ch.recv(timeout = "1h", default = None)
    flags = {"done": False}
    def set_flag():
        sleep("1s")
        flags["done"] = True
    spawn(set_flag)
    wait_until(lambda: flags["done"], timeout = "1m")
    some = parallel([bind(leg, 1), bind(activity("boom", retry = retry_policy(max_attempts = 1)), "Bad")], settle = True)
    return [a, key, first, order, late.error.kind, b, who, got, [r.ok for r in some], first_ok([bind(leg, 2), bind(leg, 1)])]
`

// recordJournals runs the recordings that have no file yet.
func recordJournals(t *testing.T) {
	for _, r := range recordings {
		file := filepath.Join("testdata", "replay", r.name+".json")
		if _, err := os.Stat(file); err == nil {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{})
			w.deploy(e, r.script)
			r.dispatch.ID = "recorded-" + r.name
			in := Input{}
			if strings.Contains(r.script, "def main(n") || strings.Contains(r.script, "def main(times") {
				in.Args = []any{2}
			}
			id := w.dispatch(e, in, r.dispatch)
			for _, name := range r.signals {
				if err := e.Signal(t.Context(), id, name, []byte("7")); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(5 * time.Minute)
			if r.act != nil {
				r.act(t, w, e, id)
				time.Sleep(5 * time.Minute)
			}
			if r.export != "" {
				id = r.export
			}
			x, err := e.Export(t.Context(), id)
			stop()
			if err != nil {
				t.Fatal(err)
			}
			if x.State != backend.Completed && r.name != "failed" && r.name != "cancelled" && r.name != "rerun" {
				s, _ := e.State(t.Context(), id)
				t.Fatalf("%s is %s: %+v %+v", r.name, x.State, s.Failure, s.Stuck)
			}
			w.check()
			var b strings.Builder
			if _, err := x.WriteTo(&b); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}
