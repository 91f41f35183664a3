// What senpuki test prints, in the manner of go test.

package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/senpuki/senpuki/starlark"
)

// testReport prints the outcome of tests.
type testReport struct {
	app     *app
	verbose bool
	failed  bool // any

	name   string // of the file
	begun  time.Time
	tests  int
	broken bool // a test of the file has failed
}

// testRecord is the outcome of one test as JSON; Test is "" when the file was refused.
type testRecord struct {
	File      string   `json:"file"`
	Test      string   `json:"test,omitempty"`
	Result    string   `json:"result"` // pass, fail
	Seconds   float64  `json:"seconds"`
	Pos       string   `json:"pos,omitempty"`
	Kind      string   `json:"kind,omitempty"`
	Message   string   `json:"message,omitempty"`
	Traceback string   `json:"traceback,omitempty"`
	Replayed  bool     `json:"replayed,omitempty"` // it failed only with replays at every wait
	Output    []string `json:"output,omitempty"`
}

func (r *testReport) file(name string) {
	r.name, r.begun, r.tests, r.broken = name, time.Now(), 0, false
}

// refused tells of a problem for which a file's tests cannot run.
func (r *testReport) refused(p starlark.Problem) {
	r.broken = true
	if r.app.json {
		_ = r.app.printDocument(testRecord{File: r.name, Result: "fail", Pos: fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col), Message: p.Message})
		return
	}
	fmt.Fprintln(r.app.out, lines(p.String()))
}

func (r *testReport) begin(test string) {
	r.tests++
	if r.verbose && !r.app.json {
		fmt.Fprintf(r.app.out, "=== RUN   %s\n", test)
	}
}

// outcome tells how a test has ended. An error that is no failure of the test ends the command.
func (r *testReport) outcome(test starlark.Test, s script, took time.Duration, err error, output []string) error {
	rec := testRecord{File: r.name, Test: test.Name, Result: "pass", Seconds: took.Seconds()}
	if err != nil {
		var failure *starlark.TestFailure
		if !errors.As(err, &failure) {
			return fmt.Errorf("%s: %w", test.Name, err)
		}
		r.broken = true
		var replayed *replayedFailure
		rec.Result, rec.Replayed = "fail", errors.As(err, &replayed)
		rec.Pos, rec.Kind, rec.Message = shownPos(s, failure.Pos), failure.Failure.Kind, failure.Failure.Message
		if rec.Kind != "TestFailed" {
			rec.Traceback = failure.Failure.Traceback
		}
	}
	if r.verbose || err != nil {
		rec.Output = output
	}
	if r.app.json {
		return r.app.printDocument(rec)
	}
	r.print(rec)
	return nil
}

// shownPos is a position of a file of the workspace as the user would name it here.
func shownPos(s script, pos string) string {
	file, rest, ok := strings.Cut(pos, ":")
	if !ok {
		return pos
	}
	return s.shown(file) + ":" + rest
}

func (r *testReport) print(rec testRecord) {
	if rec.Result == "pass" && !r.verbose {
		return
	}
	w := r.app.out
	fmt.Fprintf(w, "--- %s: %s (%.2fs)\n", strings.ToUpper(rec.Result), rec.Test, rec.Seconds)
	for _, line := range rec.Output {
		fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(lines(line), "\n", "\n    "))
	}
	if rec.Result == "pass" {
		return
	}
	text := rec.Message
	if rec.Kind != "TestFailed" {
		text = rec.Kind + ": " + text
	}
	if rec.Replayed {
		text = "replayed at every wait: " + text
	}
	fmt.Fprintf(w, "    %s: %s\n", rec.Pos, strings.ReplaceAll(lines(text), "\n", "\n        "))
	if trace := strings.TrimSuffix(rec.Traceback, "\n"); trace != "" {
		fmt.Fprintf(w, "        %s\n", strings.ReplaceAll(lines(trace), "\n", "\n        "))
	}
}

// fileEnd is the line about a file.
func (r *testReport) fileEnd() error {
	r.failed = r.failed || r.broken
	if r.app.json {
		return nil
	}
	took := time.Since(r.begun).Seconds()
	switch {
	case r.broken:
		fmt.Fprintf(r.app.out, "FAIL\t%s\t%.2fs\n", r.name, took)
	case r.tests == 0:
		fmt.Fprintf(r.app.out, "ok  \t%s\t[no tests to run]\n", r.name)
	default:
		fmt.Fprintf(r.app.out, "ok  \t%s\t%.2fs\n", r.name, took)
	}
	return nil
}

// end is the outcome of all.
func (r *testReport) end() error {
	if !r.failed {
		return nil
	}
	if !r.app.json {
		fmt.Fprintln(r.app.out, "FAIL")
	}
	return &exitError{status: exitFailed}
}
