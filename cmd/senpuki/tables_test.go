// What every command prints about one small database, as on a pipe: whole, one line a row, without colours.

package main_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

var updateTables = flag.Bool("update-tables", false, "write testdata/tables anew")

const orderScript = `
add = activity("add")
shared = activity("add", cached = True)

def kid(n):
    return add(n, 1)

def main(n):
    """An order."""
    log.info("taking it", n = n)
    progress(0.5, "half")
    a = parallel.map(lambda i: add(i, n), range(3), limit = 1)
    shared(1, 2)
    b = workflow(kid)(n)
    return {"sum": sum(a), "kid": b}
`

// The delay is long enough for the failure to land before the next attempt is due, whatever else the machine does.
const badScript = `
boom = activity("fragile", retry = retry_policy(max_attempts = 2, initial_delay = "300ms", jitter = 0))

def inner():
    return boom("missing")

def main():
    return inner()
`

const farScript = `
def main():
    return activity("add", queue = "far", tags = ["gpu"])(1, 2)
`

// hidden are what differs from run to run; blanks beside it are one, for columns are as wide as what is in them.
var hidden = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b( \((now|in \w+|\w+ ago)\))?`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d(\.\d+)?\b`), "TIME"},
	{regexp.MustCompile(`(  |newest )now\b`), "${1}SPAN"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s|m|h)( ago)?( \d+s)?`), "SPAN"},
	{regexp.MustCompile(`\b(\d+\.\d|\d+)/min\b|\b\d+(\.\d+)? a minute`), "RATE"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "DIGEST"},
	{regexp.MustCompile(`\b[0-9a-f]{28}\b`), "ID"},
	{regexp.MustCompile(`/[^ "]*/tables/`), "DIR/"},
	{regexp.MustCompile(` *\b(TIME|SPAN|RATE|DIGEST|ID)\b *`), " $1 "},
	{regexp.MustCompile(`(\S) {2,}`), "$1  "},
	{regexp.MustCompile(`(?m) +$`), ""},
}

func TestTables(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tables")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	golden, err := filepath.Abs(filepath.Join("testdata", "tables"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("USER", "ada")
	t.Setenv("NO_COLOR", "")
	for name, text := range map[string]string{"order.star": orderScript, "bad.star": badScript, "far.star": farScript} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(ctx context.Context, line string) (string, int) {
		var out, errs bytes.Buffer
		code := cli.Run(ctx, registry(), strings.Fields(line), nil, &out, &errs)
		text := out.String()
		if errs.Len() > 0 {
			text += "--- standard error\n" + errs.String()
		}
		return text, code
	}
	must := func(want int, line string) {
		t.Helper()
		if text, code := run(t.Context(), line); code != want {
			t.Fatalf("%s: status %d\n%s", line, code, text)
		}
	}
	must(0, "deploy order.star bad.star far.star --note first")
	if err := os.WriteFile("order.star", []byte(strings.Replace(orderScript, "An order", "An order, better", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	must(0, "deploy order.star --note better")
	must(0, "exec order.star --id order-17 --arg n=5 --tag red --tag blue")
	must(1, "exec bad.star --id bad-1")
	must(0, "dispatch order --arg n=1 --id later --delay 2h --priority 5")
	must(0, "dispatch far --id far-1")
	ctx, stop := context.WithCancel(t.Context())
	held := make(chan struct{})
	go func() {
		defer close(held)
		run(ctx, "worker")
	}()
	defer func() { stop(); <-held }()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if text, _ := run(t.Context(), "tasks list"); strings.Contains(text, "far-1") {
			break
		} else if time.Since(begun) > time.Minute {
			t.Fatal(text)
		}
	}
	for _, line := range []string{
		"list", "list --state failed", "list --json --workflow none", "list --workflow none", "show order-17", "show bad-1", "show far-1", "show later", "history order-17", "history bad-1", "logs order-17", "result order-17",
		"tasks list", "dlq list", "dlq show 1", "cache list", "stats", "workflows list", "workflows show order", "workflows history order", "workflows diff order 1 2",
		"check order.star", "upgrade order --dry-run", "replay order-17", "replay bad-1 --locals", "gc --dry-run", "db check", "wait order-17",
	} {
		text, _ := run(t.Context(), line)
		if strings.Contains(text, "\x1b") {
			t.Errorf("%s: escape codes on a pipe: %q", line, text)
		}
		for _, h := range hidden {
			text = h.what.ReplaceAllString(text, h.as)
		}
		path := filepath.Join(golden, strings.ReplaceAll(strings.ReplaceAll(line, " ", "_"), "--", "")+".txt")
		if *updateTables {
			if err := os.MkdirAll(golden, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != text {
			t.Errorf("senpuki %s prints\n%s\nnot\n%s", line, text, want)
		}
	}
}
