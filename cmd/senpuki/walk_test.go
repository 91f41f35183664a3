// README and docs followed to the letter: their commands are typed into a shell, their programs run.

package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

var (
	fence   = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	program = regexp.MustCompile("(?ms)^```go\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?")
)

// root is the directory of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// shell runs a page's commands, in order, in one directory. Commands in the background are killed at the end.
func shell(t *testing.T, dir, script string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	cmd := exec.Command("bash", "-c", "set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"+script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"), "SENPUKI_DB=", "NO_COLOR=1")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\noutput:\n%s\nerrors:\n%s", err, script, out, &errs)
	}
	return string(out)
}

// install puts the binary where shell finds it.
func install(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "bin")+string(filepath.Separator), "./cmd/senpuki")
	cmd.Dir = root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// page returns the commands of a page, one script; what else it shows with a file's name is written to dir.
func page(t *testing.T, path, dir string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, m := range fence.FindAllSubmatch(text, -1) {
		switch kind, body := string(m[1]), string(m[2]); kind {
		case "sh":
			script.WriteString(body)
		case "python":
			name, _, _ := strings.Cut(strings.TrimPrefix(body, "# "), "\n")
			if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return script.String()
}

func wants(t *testing.T, out string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(out, line) {
			t.Errorf("%q is missing in\n%s", line, out)
		}
	}
}

func TestReadmeFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := page(t, "../../README.md", dir)
	// The two commands of a fresh clone are what CI calls; the rest is typed elsewhere.
	script = strings.ReplaceAll(script, "go run ./cmd/senpuki exec examples/hello/hello.star", "senpuki exec "+filepath.Join(root(t), "examples/hello/hello.star"))
	script = strings.Replace(script, "make test\n", "", 1)
	site := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer site.Close()
	script = strings.NewReplacer("https://go.dev", site.URL, "https://example.com", site.URL+"/2").Replace(script)
	script = regexp.MustCompile(`(?m)^.*postgres://.*\n`).ReplaceAllString(script, "") // see TestScriptPostgres
	install(t, dir)
	out := shell(t, dir, script)
	wants(t, out, `"Hello, world!"`, "\n2\n", "\n1\n")
	report, err := os.ReadFile(filepath.Join(dir, "report.txt"))
	if err != nil || !strings.Contains(string(report), site.URL+" 200") {
		t.Errorf("%s %v", report, err)
	}
}

func TestGettingStartedFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := page(t, "../../docs/getting-started.md", dir)
	for _, name := range []string{"a.md", "b.md", "c.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script = strings.NewReplacer(
		"go build -o senpuki ./cmd/senpuki", "(cd "+root(t)+" && go build -o "+dir+"/senpuki ./cmd/senpuki)",
	).Replace(script)
	install(t, dir)
	out := shell(t, dir, script)
	if n := strings.Count(out, `{"copied":3}`); n < 3 { // first, second, dispatched; show says it, too
		t.Errorf("%d results in\n%s", n, out)
	}
	wants(t, out, "senpuki ", "second", "file.glob")
	for _, name := range []string{"a.md", "b.md", "c.md"} {
		if b, err := os.ReadFile(filepath.Join(dir, name+".bak")); err != nil || string(b) != name {
			t.Errorf("%s: %s %v", name, b, err)
		}
	}
}

func TestOperationsFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := page(t, "../../docs/operations.md", dir)
	// Workers end by a signal, after they have begun.
	script = regexp.MustCompile(`(?m)^(senpuki worker.*)$`).ReplaceAllString(script, "timeout --foreground --preserve-status -s TERM 2 $1")
	script = strings.NewReplacer("/backup/", dir+"/", ":9090", "127.0.0.1:0").Replace(script)
	script = regexp.MustCompile(`(?m)^.*postgres://.*\n`).ReplaceAllString(script, "")
	install(t, dir)
	wants(t, shell(t, dir, script), "would be removed: 0 executions")
	for _, name := range []string{"before.db", "senpuki-2026-11-23.db"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// fragment makes a program, or a test, of a part of one.
func fragment(source string) string {
	if !strings.HasPrefix(source, "func ") {
		source = "func main() {\n" + source + "}\n"
	}
	return `package main

import (
	"os"
	"testing"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/cmd/senpuki/cli"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/engine/enginetest"
)

var (
	_ = os.DirFS
	_ = time.Hour
	_ = cli.Main
	_ engine.Input
	_ enginetest.Options
	_ *testing.T
)

func registry() *activities.Registry { return activities.NewRegistry() }

` + source
}

// Programs that are whole are built, and run when their output is shown.
func TestProgramsOfTheDocs(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, path := range append(pages, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range program.FindAllSubmatch(text, -1) {
			source, want := string(m[1]), string(m[2])
			if !strings.Contains(source, "\npackage ") && !strings.HasPrefix(source, "package ") {
				source = fragment(source)
			}
			file := filepath.Join(t.TempDir(), "main.go")
			command := []string{"vet", file}
			switch {
			case strings.Contains(source, "*testing.T"):
				file = filepath.Join(filepath.Dir(file), "order_test.go")
				command[1] = file
			case want != "":
				command[0] = "run"
			}
			if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("go", command...)
			cmd.Dir = root(t)
			var errs strings.Builder
			cmd.Stderr = &errs
			out, err := cmd.Output()
			if err != nil || string(out) != want {
				t.Errorf("%s: %v\n%s\nprints\n%s\nnot\n%s\n%s", path, err, source, out, want, &errs)
			}
			if want != "" {
				ran++
			}
		}
	}
	if ran < 2 {
		t.Errorf("only %d programs ran", ran)
	}
}
