// What README and docs show can be typed: scripts compile, those that end by
// themselves run, and commands and flags exist.

package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

var (
	scriptFence  = regexp.MustCompile("(?ms)^```python\n# (\\w+\\.star)\n(.*?)^```$")
	consoleFence = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
)

// ends are the scripts that need nothing and end by themselves, with their input and result.
var ends = map[string][2]string{
	"trip.star":  {`{"trip": "t"}`, `{"booked":["flight","hotel"]}`},
	"wide.star":  {`[100]`, `100`},
	"parts.star": {`[["a"]]`, `["A"]`},
	"tidy.star":  {`[]`, `"built"`},
	"line.star":  {`[]`, `[0,1,2,3,4,5]`},
}

func TestScriptsOfTheDocs(t *testing.T) {
	found := 0
	for _, page := range []string{"../../README.md", "../../docs/guide.md", "../../docs/getting-started.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range scriptFence.FindAllSubmatch(text, -1) {
			name, script := string(m[1]), m[2]
			if _, ok := ends[name]; ok {
				found++
			}
			t.Run(filepath.Base(page)+" "+name, func(t *testing.T) {
				dir := t.TempDir()
				t.Chdir(dir)
				if err := os.WriteFile(name, script, 0o600); err != nil {
					t.Fatal(err)
				}
				var out, errs bytes.Buffer
				if code := cli.Run(t.Context(), nil, []string{"check", name}, nil, &out, &errs); code != 0 {
					t.Fatalf("check: exit status %d\n%s%s", code, &out, &errs)
				}
				want, ok := ends[name]
				if !ok {
					return
				}
				out.Reset()
				code := cli.Run(t.Context(), nil, []string{"exec", name, "--quiet", "--input", want[0]}, nil, &out, &errs)
				if got := strings.TrimSpace(out.String()); code != 0 || got != want[1] {
					t.Errorf("exit status %d, result %s, want %s\n%s", code, got, want[1], &errs)
				}
			})
		}
	}
	if found != len(ends) {
		t.Errorf("%d of %d scripts that can be run are there", found, len(ends))
	}
}

func TestCommandsOfTheDocs(t *testing.T) {
	t.Parallel()
	seen := 0
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md", "../../examples/hello/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range consoleFence.FindAllSubmatch(text, -1) {
			for _, line := range strings.FieldsFunc(string(m[1]), func(r rune) bool { return r == '\n' || r == '&' || r == '|' || r == ';' }) {
				words := strings.Fields(line)
				if len(words) > 2 && words[0] == "go" && words[2] == "./cmd/senpuki" {
					words = append([]string{"senpuki"}, words[3:]...)
				}
				if len(words) < 2 || words[0] != "senpuki" {
					continue
				}
				seen++
				typed(t, page, words[1:])
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d commands", seen)
	}
}

// typed fails the test unless a command and its flags exist.
func typed(t *testing.T, page string, words []string) {
	t.Helper()
	var out, errs bytes.Buffer
	command := []string{words[0]}
	if slices.Contains([]string{"workflows", "tasks", "dlq", "cache", "db"}, words[0]) {
		command = words[:2]
	}
	code := cli.Run(t.Context(), nil, append(command, "--help"), nil, &out, &errs)
	if code != 0 || !strings.Contains(out.String(), "senpuki "+strings.Join(command, " ")) {
		t.Errorf("%s: there is no command %q", page, strings.Join(command, " "))
		return
	}
	for _, w := range words {
		if flag, _, _ := strings.Cut(w, "="); strings.HasPrefix(flag, "--") && !strings.Contains(out.String(), flag+" ") && !strings.Contains(out.String(), flag+"\n") {
			t.Errorf("%s: %q has no flag %s", page, strings.Join(words, " "), flag)
		}
	}
}
