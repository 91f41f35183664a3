// How things look.

package cli

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/engine"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", -time.Second: "0s", 250 * time.Microsecond: "250µs", 12 * time.Millisecond: "12ms",
		3200 * time.Millisecond: "3.2s", 59990 * time.Millisecond: "59.9s", 65 * time.Second: "1m 5s", time.Hour: "1h",
		3*time.Hour + 12*time.Minute + 9*time.Second: "3h 12m", 50 * time.Hour: "2d 2h",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "now", 5 * time.Second: "5s ago", 3 * time.Minute: "3m ago", 47 * time.Hour: "47h ago", 49 * time.Hour: "2d ago",
		-10 * time.Second: "in 10s",
	} {
		if got := ago(now.Add(-d), now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := ago(time.Time{}, now); got != "-" {
		t.Errorf("zero time: %q", got)
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 0, "500ms": 500 * time.Millisecond, "0.4s": 400 * time.Millisecond, "1h 30m": 90 * time.Minute,
		"1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "1w": 7 * 24 * time.Hour, "0s": 0,
	} {
		if got, err := parseDuration("--x", text); got != want || err != nil {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"soon", "1", "-1s", "1y", "999999999w", "1s2", " "} {
		got, err := parseDuration("--x", text)
		if code, _ := status(err); code != exitUsage {
			t.Errorf("%q: %v, %v, want a usage error", text, got, err)
		}
	}
	if _, err := parsePositive("--x", "0s"); err == nil {
		t.Error("0s is more than nothing")
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for db, want := range map[string]string{
		"senpuki.db":                            "senpuki.db",
		"postgres://me:hunter2@h:5/d?x=1":       "postgres://me:xxxxx@h:5/d?x=1",
		"postgres://h/d?password=hunter2&x":     "postgres://h/d?password=xxxxx&x",
		"postgres://h/d?password=hun,t)er2":     "postgres://h/d?password=xxxxx",
		"postgres://h/d?sslkey=hunter2":         "postgres://h/d?sslkey=xxxxx",
		"host=h password=hunter2,x dbname=d":    "host=h password=xxxxx dbname=d",
		`host=h password='hun \'ter 2' user=me`: "host=h password=xxxxx user=me",
		"host=h PASSWORD = hunter2":             "host=h PASSWORD = xxxxx",
		"postgres://me:hun/ter2%zz@h/d":         "postgres://me:xxxxx@h/d",
		`postgres://me:hun"ter2%zz@h/d`:         "postgres://me:xxxxx@h/d",
	} {
		if got := mask(db); got != want {
			t.Errorf("mask(%q) = %q, want %q", db, got, want)
		}
	}
}

func TestMaskText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"dial postgres://me:hunter2@h/d: refused":  "dial postgres://me:xxxxx@h/d: refused",
		"dial postgres://me:hun/ter2@h/d: refused": "dial postgres://me:xxxxx@h/d: refused",
		"redis://:hunter2@h:6379/0, then":          "redis://:xxxxx@h:6379/0, then",
		"https://me:hunter2@h/p?x=1":               "https://me:xxxxx@h/p?x=1",
		"host=x password='abc":                     "host=x password=xxxxx",
		// What is around a secret stays.
		`{"url":"https://h/p?token=abc","amount":500}`:                    `{"url":"https://h/p?token=xxxxx","amount":500}`,
		`{"url":"https://h/p?a=1&api_key=abc&b=2","amount":500}`:          `{"url":"https://h/p?a=1&api_key=xxxxx&b=2","amount":500}`,
		`{"url":"https://h/p?a=1\u0026token=abc\u0026b=2","amount":500}`:  `{"url":"https://h/p?a=1\u0026token=xxxxx\u0026b=2","amount":500}`,
		`{"body":"{\"url\":\"https://h/p?token=abc\",\"amount\":500}"}`:   `{"body":"{\"url\":\"https://h/p?token=xxxxx\",\"amount\":500}"}`,
		`{"dsn":"host=x password=abc","amount":500}`:                      `{"dsn":"host=x password=xxxxx","amount":500}`,
		`{"dsn":"host=x password='a b \\' c' user=me","amount":500}`:      `{"dsn":"host=x password=xxxxx user=me","amount":500}`,
		`{"dsn":"host=x password=\"a b\" user=me","amount":500}`:          `{"dsn":"host=x password=xxxxx user=me","amount":500}`,
		`{"body":"{\"dsn\":\"password=abc\",\"amount\":500}"}`:            `{"body":"{\"dsn\":\"password=xxxxx\",\"amount\":500}"}`,
		`login password="two words" n=1`:                                  `login password=xxxxx n=1`,
		"[https://h/?key=abc] (https://h/?key=abc), <https://h/?key=abc>": "[https://h/?key=xxxxx] (https://h/?key=xxxxx), <https://h/?key=xxxxx>",
		"['https://h/?secret=abc', 1]":                                    "['https://h/?secret=xxxxx', 1]",
		"https://h/?password=abc&access_token=abc#part":                   "https://h/?password=xxxxx&access_token=xxxxx#part",
		"https://h/?X-Amz-Signature=abc&accessToken=abc&sig=abc":          "https://h/?X-Amz-Signature=xxxxx&accessToken=xxxxx&sig=xxxxx",
		// What is none stays.
		`{"hook":"http://host:8080/x","mail":"bob@x.org"}`: "",
		`{"hook":"http://host:8080","mail":"bob@x.org"}`:   "",
		"http://host:8080?mail=bob@x.org":                  "",
		"http://host:8080 bob@x.org":                       "",
		"https://registry:5000/team/img@sha256:abc":        "",
		"https://h/?monkey=banana&sort_key=name&tokens=5":  "",
		"charged key=17 monkey=banana url=https://h/p":     "",
		`charged key=17 url="https://h/p?n=1" token=abc`:   "",
		"/relative?key=17":                                 "",
	} {
		if want == "" {
			want = text
		}
		if got := maskText(text); got != want {
			t.Errorf("maskText(%q)\n = %q,\nwant %q", text, got, want)
		}
	}
	// A log line, from its fields on.
	line := engine.LogLine{Level: "info", Message: "charged", Fields: json.RawMessage(`{"key":17,"monkey":"banana","url":"https://h/p?token=abc"}`)}
	if got, want := logText(line), `INFO charged key=17 monkey=banana url="https://h/p?token=xxxxx"`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What scripts, signals and failures say cannot move a terminal's cursor, and JSON for one says the same without.
func TestTextForTerminals(t *testing.T) {
	t.Parallel()
	line := engine.LogLine{Message: "a\x1b[2Jb\r\nc\td\u009b1m", Fields: json.RawMessage(`{"k":"\u001b[31m"}`)}
	if got, want := logText(line), "a [2Jb\nc\td 1m k= [31m"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := shownText(json.RawMessage(`{"status":"up\u001b[2J\nand on"}`)), "up [2J and on"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	raw := []byte("{\n\t\"k\": \"\u009b1m\x7f\u00e9\"\n}")
	if got, want := string(escaped(raw)), "{\n\t\"k\": \"\\u009b1m\\u007f\u00e9\"\n}"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMergeArgs(t *testing.T) {
	t.Parallel()
	got, err := mergeArgs([]byte(`{"z": 1, "a": {"y": 2, "x": 1.0}}`), []string{"b=x y", "z=[1]", "c=\"q\"", "d=<&>"})
	if want := `{"z":[1],"a":{"y": 2, "x": 1.0},"b":"x y","c":"q","d":"<&>"}`; string(got) != want || err != nil {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	for _, args := range []string{"x", "=x"} {
		if _, err := mergeArgs(nil, []string{args}); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	if _, err := mergeArgs([]byte("3"), []string{"a=1"}); err == nil {
		t.Error("--arg over a number is taken")
	}
}

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":               "empty",
		"{\n\"a\": NaN}": "line 2, column 6",
		"hello":          "line 1, column 1",
		"1 2":            "line 1, column 3",
	} {
		err := checkJSON([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if err := checkJSON([]byte(` {"a": 1} `)); err != nil {
		t.Error(err)
	}
}

func TestTableFits(t *testing.T) {
	t.Parallel()
	tab := table{head: []string{"ID", "NAME", "NOTE"}, fixed: 1}
	tab.row("0190abcdef", "a workflow with a long name", "and a note that is longer still, and does not fit anywhere")
	tab.row("1", "ünïcödé ✓", "")
	for _, width := range []int{0, 20, 40, 80, 200} {
		lines := tab.lines(width, true)
		if len(lines) != 3 {
			t.Fatalf("%d lines", len(lines))
		}
		for _, l := range lines {
			if w := lipgloss.Width(l); width > 0 && w > width {
				t.Errorf("width %d: a line has %d: %q", width, w, l)
			}
		}
	}
	whole := strings.Join(tab.lines(0, false), "\n")
	if !strings.Contains(whole, "does not fit anywhere") || strings.Contains(whole, "\x1b") {
		t.Errorf("without a terminal:\n%s", whole)
	}
}

func TestExcerpt(t *testing.T) {
	t.Parallel()
	got := excerptOf("a.star", "one\ntwo\nthree\nfour\nfive\n", 3, 2)
	want := "  a.star:3\n       1 | one\n       2 | two\n  >    3 | three\n         |  ^\n       4 | four\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := excerptOf("a.star", "one\n", 7, 1); got != "" {
		t.Errorf("a line that is not there: %q", got)
	}
}

func TestLogText(t *testing.T) {
	t.Parallel()
	got := logText(engine.LogLine{Level: "warn", Message: "m", Fields: json.RawMessage(`{"z":"x","a":"two words","n":1,"o":{"k":[1]}}`)})
	if want := `WARN m z=x a="two words" n=1 o={"k":[1]}`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What is said of a failure may come from anywhere, and moves no cursor.
func TestFailuresHaveNoControlCharacters(t *testing.T) {
	t.Parallel()
	f := &activities.Failure{Kind: "Odd", Message: "\x1b[2Jwiped\r\n\tone\rtwo\u009b1m", Cause: &activities.Failure{Kind: "Bell", Message: "\a"}}
	var told strings.Builder
	writeFailure(&told, f)
	if want := "error: Odd:  [2Jwiped\n\tone two 1m\ncaused by: Bell:  \n"; told.String() != want {
		t.Errorf("%q, want %q", told.String(), want)
	}
	if got, want := failureText(f), "Odd:  [2Jwiped   one two 1m"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestProgressLines folds events into plain lines.
func TestProgressLines(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := newProgress(&out, false, false)
	p.begin(engine.Execution{ID: "x1", Workflow: "w"}, "if it is interrupted, resume it with: senpuki resume x1")
	at := func(kind engine.EventKind, step, name string) engine.Event {
		return engine.Event{Kind: kind, Step: step, Name: name, Attempt: 1}
	}
	p.Observe(at(engine.ExecutionStarted, "", "w"))
	p.Observe(at(engine.StepAsked, "1", "charge"))
	p.Observe(at(engine.AttemptStarted, "1", "charge"))
	failed := at(engine.AttemptFailed, "1", "charge")
	failed.Failure = &activities.Failure{Kind: "Busy", Message: "later"}
	p.Observe(failed)
	p.Observe(at(engine.AttemptStarted, "1", "charge"))
	p.Observe(at(engine.StepDone, "1", "charge"))
	p.Observe(engine.Event{Kind: engine.Logged, Line: &engine.LogLine{Level: "print", Message: "said"}})
	const many = 1000
	for i := range many {
		step := "2." + string(rune('a'+i%26)) + strings.Repeat("b", i/26)
		p.Observe(at(engine.StepAsked, step, "many"))
		p.Observe(at(engine.AttemptStarted, step, "many"))
		p.Observe(at(engine.StepDone, step, "many"))
	}
	if text := p.tree(60, 10, "*", time.Now()); !strings.Contains(text, "many") || !strings.Contains(text, "1000/1000") {
		t.Errorf("tree:\n%s", text)
	}
	for _, line := range strings.Split(p.tree(20, 5, "*", time.Now()), "\n") {
		if lipgloss.Width(line) > 20 {
			t.Errorf("a line of the tree is wider than the terminal: %q", line)
		}
	}
	p.finish("x1 completed")
	p.finish("again")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, want := range []string{
		"w x1; if it is interrupted, resume it with: senpuki resume x1",
		"step 1 charge: attempt 1 failed: Busy: later", "said", "x1 completed, 1001 steps",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("there is no line %q in\n%s", want, out.String())
		}
	}
	if len(lines) > plainSteps+20 {
		t.Errorf("%d lines for %d steps", len(lines), many)
	}
	if p.running != 0 || len(p.steps) != 0 {
		t.Errorf("%d steps run and %d are known at the end", p.running, len(p.steps))
	}
}

// A command can be copied from the live display, however narrow it is.
func TestCommandsAreNotWrapped(t *testing.T) {
	t.Parallel()
	const id = "01a21f06a3d999e15205cc27e6b1"
	for _, c := range []struct {
		line, want string
		width      int
	}{
		{"w x1; if it is interrupted, resume it with: senpuki resume x1", "w x1; if it is interrupted, resume it with: senpuki resume x1", 61},
		{"w x1; if it is interrupted, resume it with: senpuki resume x1", "w x1; if it is interrupted, resume it with:\nsenpuki resume x1", 60},
		{"hello " + id + "; if it is interrupted, resume it with: senpuki resume " + id, "hello " + id + "; if it is interrupted, resume it with:\nsenpuki resume " + id, 80},
		{"w x1; if it is interrupted, resume it with: senpuki resume " + id, "w x1; if it is\ninterrupted, resume\nit with:\nsenpuki resume " + id, 20},
		{"said with: words of a script", "said with: words of\na script", 20},
	} {
		if got := wrapped(c.line, c.width); got != c.want {
			t.Errorf("%d:\n%s\nwant\n%s", c.width, got, c.want)
		}
	}
}
