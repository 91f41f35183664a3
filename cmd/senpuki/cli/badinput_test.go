package cli

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// operands are what commands need besides flags.
var operands = map[string][]string{
	"exec": {"flow.star"}, "check": {"flow.star"}, "deploy": {"flow.star"}, "dispatch": {"flow.star"}, "test": {"flow_test.star"},
	"cancel": {"x"}, "fork": {"x"}, "history": {"x"}, "logs": {"x"}, "replay": {"x"}, "result": {"x"}, "resume": {"x"}, "retry": {"x"},
	"show": {"x"}, "wait": {"x"}, "signal": {"x", "go"}, "upgrade": {"x"}, "dlq discard": {"1"}, "dlq replay": {"1"}, "dlq show": {"1"},
	"tasks show": {"x/1"}, "workflows diff": {"flow", "1"}, "workflows history": {"flow"}, "workflows rollback": {"flow"}, "workflows show": {"flow"},
	"db backup": {"copy.db"}, "init": {"project"},
}

// wrongText is what flags that take text refuse; those that take any text are listed with nothing.
var wrongText = map[string][]string{
	"config": {"missing.toml", "."}, "db": {"oracle:x", "sqlite:", "memory:x", "postgres://%zz", "postgres://localhost:notaport/x", "postgres://h/x?schema=Has%20Blank", "flow.db?synchronous=never"},
	"redis":       {"http://h", "redis://h:port", "%zz", "foo", "foo:6379"},
	"bench child": {}, "bench child-arg": {}, "bench compare": {"missing.json"}, "bench profile": {"", "/dev/null/x"}, "bench workload": {"nonsense"},
	"cache clear activity": {}, "cache list activity": {}, "cancel reason": {}, "check activities": {"missing.json"},
	"deploy name": {"flow.star", "has blank", "new\nline"}, "deploy note": {},
	"dispatch arg": {"novalue", "=1", "other=1"}, "dispatch delay": {"yesterday", "-5m", "5", "1000y"}, "dispatch expiry": {"soon", "-1h", "0s"},
	"dispatch fn": {"missing"}, "dispatch id": {"", "has blank", strings.Repeat("x", 300)}, "dispatch input": {"{", "@missing", "1", ""}, "dispatch queue": {"has blank"}, "dispatch tag": {""},
	"dlq list execution": {}, "dlq replay args": {"{", "1"}, "dlq replay queue": {"has blank"},
	"exec arg": {"novalue", "=1", "other=1"}, "exec expiry": {"soon", "-1h", "0s"}, "exec fn": {"missing"}, "exec id": {"", "has blank"}, "exec input": {"{", "@missing", "1"},
	"exec log-format": {"xml"}, "exec log-level": {"loud"}, "exec queue": {"has blank"}, "exec tag": {""},
	"fork code": {"missing.star", ""}, "fork from": {""}, "fork id": {"has blank"}, "gc older-than": {"yesterday", "-1d", ""}, "history export": {},
	"list before": {}, "list parent": {}, "list queue": {}, "list since": {"yesterday", "-1h"}, "list state": {"done", "running,done"}, "list tag": {}, "list workflow": {},
	"replay code": {"missing.star"}, "replay until": {""}, "retry code": {"missing.star"}, "retry from": {""}, "stats since": {"yesterday", "0s", ""},
	"tasks list activity": {}, "tasks list execution": {}, "tasks list queue": {}, "test run": {"("}, "upgrade to": {"", "-1", "nonsense!"}, "wait timeout": {"soon", "-1s", "0s"},
	"worker allow": {"nonsense"}, "worker listen": {"nonsense", ":port", "-1"}, "worker log-format": {"xml"}, "worker log-level": {"loud"}, "worker queue": {"", "has blank", `a"b`},
	"worker retention-completed": {"long", "-1d"}, "worker retention-failed": {"long"}, "worker tag": {"has blank", `a"b`}, "worker watch": {"missing"},
}

// wrongNumbers are refused besides what is no number.
var wrongNumbers = map[string][]string{
	"list limit": {"0", "-1"}, "cache list limit": {"0", "-1"}, "dlq list limit": {"0"}, "tasks list limit": {"0"},
	"dispatch max-attempts": {"0", "-1"}, "worker concurrency": {"0", "-1"}, "exec max-steps": {"0", "-1"}, "resume max-steps": {"0", "-1"}, "worker max-steps": {"0", "-1"}, "workflows rollback to": {"-1"},
}

// Every flag of every command refuses what it cannot mean: status 2, words that name it or what was wrong, and nothing is made.
func TestEveryFlagRefusesNonsense(t *testing.T) {
	t.Setenv("SENPUKI_DB", "")
	t.Setenv("SENPUKI_CONFIG", "")
	a := &app{env: os.Getenv}
	known := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		name := strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), "senpuki"), " ")
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			key := strings.TrimSpace(name + " " + f.Name)
			var values []string
			switch kind := f.Value.Type(); kind {
			case "bool":
				values = []string{"perhaps"}
			case "int":
				values = append([]string{"many", "1.5", "99999999999999999999"}, wrongNumbers[key]...)
			default:
				var listed bool
				if values, listed = wrongText[key]; !listed {
					t.Errorf("--%s of %q: no wrong values are listed", f.Name, name)
				}
				known++
				if !slices.Contains(emptyFlags, f.Name) {
					values = append(slices.Clone(values), "")
				}
			}
			for _, v := range values {
				if c.RunE == nil || strings.HasPrefix(name, "completion") {
					refuses(t, []string{"list"}, f.Name, v)
					continue
				}
				args := append(strings.Fields(name), operands[name]...)
				if name == "" {
					args = []string{"list"}
				}
				if name == "fork" && f.Name != "from" {
					args = append(args, "--from", "1")
				}
				refuses(t, args, f.Name, v)
			}
		})
		for _, s := range c.Commands() {
			if s.Name() != "completion" && s.Name() != "help" {
				walk(s)
			}
		}
	}
	walk(a.root())
	if known != len(wrongText) {
		t.Errorf("%d flags take text, %d are listed", known, len(wrongText))
	}
}

func refuses(t *testing.T, args []string, flag, value string) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{"flow.star": "def main():\n    pass\n", "flow_test.star": "def test_it(t):\n    pass\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := files(t, dir)
	args = append(slices.Clone(args), "--"+flag+"="+value)
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	code := Run(ctx, nil, args, nil, &out, &errs)
	if code != exitUsage || out.Len() > 0 || !strings.Contains(errs.String(), flag) && (value == "" || !strings.Contains(errs.String(), strings.TrimSuffix(value, "=1"))) {
		t.Errorf("senpuki %q: status %d\n%s%s", args, code, &out, &errs)
	}
	if after := files(t, dir); !slices.Equal(before, after) {
		t.Errorf("senpuki %q made %q", args, after)
	}
}

func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		list = append(list, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
