// The index names every example, and what its commands name is there.

package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var row = regexp.MustCompile(`(?m)^\| \[(\w+)\]\((\w+)\) \| [^|]+ \| .go run (\S+) exec (\S+)[^|]*. \|$`)

func TestIndex(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		name, binary, script := m[1], m[3], m[4]
		named[name] = true
		if m[2] != name || binary != "./cmd/senpuki" && binary != "./examples/"+name || filepath.Dir(script) != filepath.Join("examples", name) {
			t.Errorf("the line of %s is about something else: %s", name, m[0])
		}
		for _, path := range []string{filepath.Join(binary, "main.go"), script} {
			if _, err := os.Stat(filepath.Join("..", path)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "internal" && !named[e.Name()] {
			t.Errorf("the index has no line for %s", e.Name())
		}
		tests, _ := filepath.Glob(filepath.Join(e.Name(), "*_test.go"))
		if e.IsDir() && e.Name() != "internal" && len(tests) == 0 {
			t.Errorf("%s has no test", e.Name())
		}
	}
	if n := strings.Count(string(text), "\n| ["); n != len(named) {
		t.Errorf("%d of %d lines of the index are understood", len(named), n)
	}
}
