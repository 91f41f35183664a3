// Random scripts come to the same end however often and wherever they are interrupted.

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/sqlite"
)

var (
	randomSeed = flag.Uint64("random.seed", 1, "seed of the first random script; 0 takes one at random")
	randomN    = flag.Int("random.n", 2, "how many random scripts")
	randomFile = flag.Bool("random.file", false, "keep random worlds in SQLite files")
)

// unversioned hides that a store tells of others' changes: it would be asked ten times and more in each second of virtual time.
type unversioned struct{ backend.Store }

// wherever is a world where the flag says. The clock of a file is virtual, too.
func wherever(t *testing.T) *world {
	w := newWorld(t)
	if !*randomFile {
		return w
	}
	s, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "world.db")+"?synchronous=normal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w.store = unversioned{s}
	return w
}

// effects are what the activities of a world have done.
type effects struct {
	mu    sync.Mutex
	begun []string // guarded by mu
}

func (f *effects) did(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun = append(f.begun, what)
}

func (f *effects) sorted() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.begun))
}

// randomWorld is a world whose activities take a time that follows from what they are asked.
func randomWorld(t *testing.T) (*world, *effects) {
	w, f := wherever(t), new(effects)
	pause := func(ctx context.Context, key string) error {
		h := fnv.New32()
		fmt.Fprint(h, key, activities.Info(ctx).Attempt, activities.Info(ctx).Activity)
		select {
		case <-time.After(time.Duration(h.Sum32()%400_000_000) * time.Nanosecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.register("work", func(ctx context.Context, key string, n int) (string, error) {
		f.did("work " + key)
		return fmt.Sprintf("%s=%d", key, n), pause(ctx, key)
	})
	w.register("same", func(ctx context.Context, key string, n int) (string, error) {
		f.did("same " + key)
		return fmt.Sprintf("%s~%d", key, n), pause(ctx, key)
	})
	w.register("tries", func(ctx context.Context, key string, fails int) (int, error) {
		f.did("tries " + key)
		if activities.Info(ctx).Attempt <= fails {
			_ = pause(ctx, key)
			return 0, activities.Fail("Again", key)
		}
		return fails, pause(ctx, key)
	})
	w.register("gives_up", func(ctx context.Context, key, kind string) error {
		f.did("gives_up " + key)
		_ = pause(ctx, key)
		return activities.Fail(kind, "in "+key, activities.Data(map[string]any{"key": key}))
	})
	w.register("once", func(ctx context.Context, key string) (string, error) {
		f.did("once " + key)
		return strings.ToUpper(key), pause(ctx, key)
	})
	return w, f
}

// deployFiles stores a random script, with what it loads and a note behind it.
func (w *world) deployFiles(e *Engine, script, note string) Program {
	w.t.Helper()
	files := fstest.MapFS{
		"test.star": {Data: []byte(script + note)}, "lib.star": {Data: []byte("LIMIT = 97\ndef twice(n):\n    return 2 * n\n")},
		"data.json": {Data: []byte(`{"list": ["a", 1.0, 12345678901234567890123]}`)},
	}
	p, err := e.Load(context.Background(), files, "test.star")
	if err != nil {
		w.t.Fatalf("%v\n%s", err, script)
	}
	if _, err := e.Publish(context.Background(), DeployOptions{}, p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// childID matches the id of a child in a message: it has that of its parent in it, which a fork has not.
var childID = regexp.MustCompile(`\b[xy]\d*\.[0-9.-]+( failed)`)

// ending is what became of a script.
type ending struct {
	Result  string
	Lines   []string
	Shown   string
	Effects []string
}

// ending waits for an execution and for what it has cancelled.
func (w *world) ending(e *Engine, id string, f *effects) ending {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*24*time.Hour)
	defer cancel()
	if _, err := e.Wait(ctx, id); err != nil {
		x, _ := e.State(context.Background(), id)
		h, _ := e.History(context.Background(), id)
		var open []string
		for _, s := range h.Steps {
			open = append(open, fmt.Sprintf("%+v", s))
		}
		w.t.Fatalf("wait for %s: %v (state %s, stuck %+v)\n%s", id, err, x.State, x.Stuck, strings.Join(open, "\n"))
	}
	time.Sleep(time.Minute) // what is cancelled ends, too
	x, err := e.State(ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	var end ending
	end.Result = string(x.State) + " " + string(x.Result)
	if x.Failure != nil {
		end.Result += x.Failure.Kind + ": " + x.Failure.Message
	}
	var shown map[string]json.RawMessage
	if x.Shown != nil {
		if err := json.Unmarshal(x.Shown, &shown); err != nil {
			w.t.Fatal(err)
		}
	}
	var state map[string]any
	_ = json.Unmarshal(shown["state"], &state)
	end.Shown = fmt.Sprint(state, string(shown["counters"]))
	end.Result = childID.ReplaceAllString(end.Result, "child$1")
	lines, err := e.Logs(ctx, id, LogPosition{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range lines {
		end.Lines = append(end.Lines, fmt.Sprintf("%d %s %s %s %s", l.Run, l.Branch, l.Level, l.Message, l.Fields))
	}
	slices.Sort(end.Lines)
	end.Effects = f.sorted()
	return end
}

// differ says where two ends differ; once: also in how often things were done.
func differ(got, want ending, once bool) string {
	var b strings.Builder
	say := func(what, g, w string) {
		if g != w {
			i := 0
			for i < min(len(g), len(w)) && g[i] == w[i] {
				i++
			}
			i = max(0, i-60)
			fmt.Fprintf(&b, "%s at byte %d:\n got %.300s\nwant %.300s\n", what, i, g[i:], w[min(i, len(w)):])
		}
	}
	say("result", got.Result, want.Result)
	say("shown", got.Shown, want.Shown)
	say("lines", strings.Join(got.Lines, "\n"), strings.Join(want.Lines, "\n"))
	g, w := got.Effects, want.Effects
	if !once {
		g, w = slices.Compact(slices.Clone(g)), slices.Compact(slices.Clone(w))
	}
	say("effects", strings.Join(g, "\n"), strings.Join(w, "\n"))
	return b.String()
}

// holds fails the test unless the journal replays, also from an export.
func (w *world) holds(e *Engine, id string) {
	w.t.Helper()
	if v, err := e.Replay(context.Background(), id, ""); err != nil || !v.Fits {
		w.t.Errorf("replay: %s %v", v.Reason, err)
	}
	x, err := e.Export(context.Background(), id)
	if err != nil {
		w.t.Error(err)
		return
	}
	var b bytes.Buffer
	if _, err := x.WriteTo(&b); err != nil {
		w.t.Error(err)
	}
	back, err := ParseExport(b.Bytes())
	if err != nil {
		w.t.Error(err)
		return
	}
	if v, err := back.Replay(context.Background(), nil); err != nil || !v.Fits {
		w.t.Errorf("replay of the export: %s %v", v.Reason, err)
	}
}

// runRandom runs a script straight through.
func runRandom(t *testing.T, script string, o Options) ending {
	w, f := randomWorld(t)
	e, stop := w.engine(o)
	w.deployFiles(e, script, "")
	w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
	end := w.ending(e, "x", f)
	w.holds(e, "x")
	stop()
	w.check()
	checkHistory(t, e, "x")
	return end
}

// ofSeeds runs a test for each seed that is asked for.
func ofSeeds(t *testing.T, run func(t *testing.T, seed uint64)) {
	first := *randomSeed
	if first == 0 {
		first = rand.Uint64N(1 << 40)
	}
	for seed := first; seed < first+uint64(*randomN); seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			run(t, seed)
		})
	}
}

func TestRandomScripts(t *testing.T) {
	t.Parallel()
	ofSeeds(t, func(t *testing.T, seed uint64) {
		for _, way := range slices.Sorted(maps.Keys(ways)) {
			w := ways[way]
			script := randomScript(seed, !w.anew)
			t.Run(way, func(t *testing.T) {
				var want ending
				synctest.Test(t, func(t *testing.T) { want = runRandom(t, script, Options{}) })
				synctest.Test(t, func(t *testing.T) {
					if d := differ(w.run(t, rand.New(rand.NewPCG(seed, 9)), script), want, !w.dies); d != "" {
						t.Errorf("%s\nagain: -random.seed=%d -random.n=1\n%s", d, seed, script)
					}
				})
			})
		}
	})
}
