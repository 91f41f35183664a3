// The chunk runner: testdata/*.star, chunks divided by ---, errors expected by ###.

package starlark_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/starlark"
	"github.com/senpuki/senpuki/starlark/hosttest"
)

// prelude is loaded by every chunk.
const prelude = `
def eq(got, want):
    if got != want:
        fail("got %r, want %r" % (got, want))

def fails(fn, *args, **kwargs):
    r = attempt(fn, *args, **kwargs)
    if r.ok:
        fail("no failure but %r" % r.value)
    return r.error

echo, add, boom, slow, late, flaky, null = [activity(n) for n in ["echo", "add", "boom", "slow", "late", "flaky", "null"]]
`

const names = "\n" + `load("@std/t.star", "eq", "fails", "echo", "add", "boom", "slow", "late", "flaky", "null")`

// compile compiles a script beside the prelude.
func compile(text string) (*starlark.Program, error) { return compileFile(text + names) }

// compileFile compiles a script that loads the prelude itself.
func compileFile(text string) (*starlark.Program, error) {
	s, err := starlark.Gather("x.star", func(path string) (string, error) {
		switch path {
		case "x.star":
			return text, nil
		case "@std/t.star":
			return prelude, nil
		}
		return "", os.ErrNotExist
	})
	if err != nil {
		return nil, err
	}
	return starlark.Compile(s)
}

var options = starlark.Options{Info: starlark.Info{ID: "x1", Run: 1, Workflow: "x"}, MaxSteps: 2_000_000}

// run runs main in a fresh world.
func run(t *testing.T, text string, replay bool) ([]byte, *hosttest.World, error) {
	t.Helper()
	return runFile(t, text+names, replay)
}

// runFile is run for a script that loads the prelude itself.
func runFile(t *testing.T, text string, replay bool) ([]byte, *hosttest.World, error) {
	t.Helper()
	p, err := compileFile(text)
	if err != nil {
		return nil, nil, err
	}
	w := hosttest.New(hosttest.Standard())
	w.ReplayAlways = replay
	b, err := w.Run(p, options)
	if err == nil {
		noMistakes(t, p, text)
	}
	return b, w, err
}

// tried marks lines whose call is made to fail, or is not made.
var tried = regexp.MustCompile(`fails\(|attempt\(|if False|if wrong|'\{"invalid": "json"'`)

// noMistakes holds what is found wrong without a call against a script that has come to its end.
func noMistakes(t *testing.T, p *starlark.Program, text string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for _, m := range p.Mistakes() {
		if m.File != "x.star" || !tried.MatchString(lines[m.Line-1]) {
			t.Errorf("found wrong, but it runs: %s", m)
		}
	}
}

var expectation = regexp.MustCompile(`###\s*("(?:[^"\\]|\\.)*"|.*)$`)

func TestChunks(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.star")
	if err != nil || len(files) == 0 {
		t.Fatal("no chunks", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		line := 1
		for _, chunk := range strings.Split(string(text), "\n---\n") {
			at := line
			line += strings.Count(chunk, "\n") + 2
			t.Run(filepath.Base(file)+":"+strconv.Itoa(at), func(t *testing.T) {
				t.Parallel()
				runChunk(t, chunk)
			})
		}
	}
}

// runChunk runs a chunk plainly, replayed at every wait, and from its journal;
// all must end alike. Where a line says ### the chunk must fail there with such a message.
func runChunk(t *testing.T, chunk string) {
	if !strings.Contains(chunk, "def main(") {
		lines := strings.Split(chunk, "\n")
		for i, l := range lines {
			lines[i] = "    " + l
		}
		chunk = "def main(): # the chunk\n" + strings.Join(lines, "\n") + "\n    pass"
	}
	first, plain, err := run(t, chunk, false)
	expect(t, chunk, err)
	second, replayed, err2 := run(t, chunk, true)
	if text(err) != text(err2) || string(first) != string(second) {
		t.Fatalf("replay at every wait gives %s, %v; want %s, %v", second, err2, first, err)
	}
	if plain == nil {
		return
	}
	sameJournal(t, plain, replayed)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	var f *starlark.Failure
	if errors.As(err, &f) {
		return f.Error() + "\n" + f.Traceback
	}
	return err.Error()
}

func sameJournal(t *testing.T, a, b *hosttest.World) {
	t.Helper()
	for i := range max(len(a.Journal), len(b.Journal)) {
		if i >= len(a.Journal) || i >= len(b.Journal) || a.Journal[i].String() != b.Journal[i].String() || !a.Journal[i].At.Equal(b.Journal[i].At) {
			t.Fatalf("journals differ at entry %d of %d and %d", i, len(a.Journal), len(b.Journal))
		}
	}
	if len(a.Lines) != len(b.Lines) {
		t.Fatalf("%d lines, replayed %d", len(a.Lines), len(b.Lines))
	}
}

func expect(t *testing.T, chunk string, err error) {
	t.Helper()
	want := false
	for i, l := range strings.Split(chunk, "\n") {
		m := expectation.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		want = true
		pattern := m[1]
		if s, uerr := strconv.Unquote(pattern); uerr == nil {
			pattern = s
		}
		at := "x.star:" + strconv.Itoa(i+1) + ":"
		if err == nil {
			t.Fatalf("line %d: no error, want %s", i+1, pattern)
		}
		if ok, rerr := regexp.MatchString(pattern, text(err)); rerr != nil || !ok || !strings.Contains(text(err), at) {
			t.Fatalf("got %s\nwant %q at %s %v", text(err), pattern, at, rerr)
		}
	}
	if err != nil && !want {
		t.Fatalf("unexpected error: %s", text(err))
	}
}
