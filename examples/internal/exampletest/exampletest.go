// Package exampletest runs an example as its README tells a user to.
//
// An example's test is two lines: [Main] makes the example's binary a command of the
// scripts in testdata, and [Run] runs them (see testscript for their language), each in a directory of its own
// that has a copy of the example's scripts and data.
package exampletest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Main is the TestMain of an example whose binary has that name and that main function.
func Main(m *testing.M, name string, main func()) {
	testscript.Main(m, map[string]func(){name: main})
}

// Run checks the example's scripts, that its README shows nothing that the tests do not run, and
// runs every script of testdata. It is called in the example's directory.
func Run(t *testing.T, name string) {
	t.Helper()
	t.Parallel()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("there is no testdata/*.txtar (%v)", err)
	}
	var texts []string
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
		if !strings.Contains(string(text), name+" check .\n! stdout .\n") || !strings.Contains(string(text), name+" db check") {
			t.Errorf("%s does not check the example's scripts and its database", script)
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := commands(string(readme), name)
	if len(shown) == 0 {
		t.Error("the README shows no command")
	}
	for _, command := range shown {
		if !strings.Contains(strings.Join(texts, "\n"), command) {
			t.Errorf("the README shows %q, and no test runs it", command)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "1")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else every command takes a second longer
			return copyExample(env.WorkDir, dir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "seen": seen},
	})
}

var fence = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// commands are the lines of a README's consoles that run the example, as a test would write them.
func commands(readme, name string) []string {
	var list []string
	for _, m := range fence.FindAllStringSubmatch(readme, -1) {
		for line := range strings.Lines(m[1]) {
			line, _, _ = strings.Cut(line, "  #")
			line = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "&"))
			if args, ok := strings.CutPrefix(line, "./"+name+" "); ok {
				list = append(list, name+" "+args)
			}
		}
	}
	return list
}

// copyExample copies what an example's directory has for its scripts; Go files and tests stay.
func copyExample(to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) == ".go" || filepath.Ext(e.Name()) == ".md" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// exits STATUS COMMAND... runs a command that must end with that exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// seen PATTERN COMMAND... runs a command until what it prints matches.
func seen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: seen PATTERN COMMAND...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	limit := time.After(time.Minute)
	for {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-look.C:
		case <-limit:
			ts.Fatalf("after a minute there is no match for %s (%v) in\n%s", args[0], err, ts.ReadFile("stdout"))
		}
	}
}
