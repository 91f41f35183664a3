package config

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/activities"
)

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, Name)
	write(t, path, `
database = "postgres://localhost/x?schema=app"
redis = "redis://localhost"
[worker]
queues = ["default", "billing"]
tags = ["gpu"]
concurrency = 7
allow = ["shell"]
watch = "flows"
listen = ":9000"
[log]
format = "json"
level = "debug"
[retention]
completed = "2d"
failed = "forever"
[activities.charge]
command = ["./charge.py", "--fast"]
timeout = "30s"
queue = "billing"
env = { MODE = "test" }
[activities."tool.run"]
command = ["tool"]
`)
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if f.Worker.Watch != filepath.Join(dir, "flows") || f.Worker.Concurrency != 7 || f.Retention.Failed != Forever {
		t.Errorf("read %+v", f)
	}
	reg := activities.NewRegistry()
	if err := f.Register(reg); err != nil {
		t.Fatal(err)
	}
	if names := reg.Names(); !slices.Equal(names, []string{"charge", "tool.run"}) {
		t.Errorf("registered %v", names)
	}
	a, _ := reg.Lookup("charge")
	if o := a.Options(); o.Queue != "billing" || o.Timeout.Seconds() != 30 {
		t.Errorf("options %+v", o)
	}
	if err := f.Register(reg); err == nil || !strings.Contains(err.Error(), "registered already") {
		t.Errorf("registered twice: %v", err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"databse = 'x'", "f.toml:1: unknown key databse; did you mean database?"},
		{"\n[worker]\nqueue = ['a']", "f.toml:3: unknown key worker.queue; did you mean queues?"},
		{"[wroker]\nqueues = ['a']", "f.toml:1: unknown key wroker; did you mean worker?"},
		{"[log]\ncolour = 1", "f.toml:2: unknown key log.colour; there are format, level"},
		{"[activities.a]\ncommand = ['x']\ntimeuot = '1s'", "f.toml:3: unknown key activities.a.timeuot; did you mean timeout?"},
		{"[activities.a]\ntimeout = '1s'", "f.toml:1: activities.a: the command is empty"},
		{"[activities.a]\ncommand = ['x']\ntimeout = 'soon'", `f.toml:3: activities.a.timeout: "soon" is not a duration`},
		{"[activities.\"a b\"]\ncommand = ['x']", "f.toml:1: activities.a b: activity"},
		{"max_steps = -1", "f.toml:1: max_steps: -1 is negative"},
		{"[worker]\nconcurrency = -1", "f.toml:2: worker.concurrency: -1 is negative"},
		{"[worker]\nconcurrency = 'many'", "f.toml:2:15: "},
		{"[worker]\nallow = ['shel']", `f.toml:2: worker.allow: "shel" is none of shell, http, file`},
		{"[worker]\nqueues = ['']", "f.toml:2: worker.queues: a queue has no name"},
		{"log.level = 'loud'", `f.toml:1: log.level: "loud" is none of debug, info, warn, error`},
		{"[retention]\ncompleted = '0s'", "f.toml:2: retention.completed: \"0s\" is not longer than nothing"},
		{"database = ", "f.toml:1:"},
	} {
		err := decode("f.toml", []byte(c.text), &File{})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, Name), "")
	got, err := Find(below)
	if err != nil || got != filepath.Join(dir, Name) {
		t.Errorf("found %q, %v", got, err)
	}
	if runtime.GOOS != "windows" {
		if _, err := Read(filepath.Join(below, Name)); err == nil || !strings.Contains(err.Error(), "there is no configuration file") {
			t.Errorf("a file that is not there: %v", err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
