// The import rules of the project, checked on what `go list` says.

package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/senpuki/senpuki"

// within tells whether path is one of the packages or below it.
func within(path string, packages ...string) bool {
	for _, p := range packages {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

// forbidden says why package pkg may not import imp ("" when it may). Paths of
// this module are given without the module's name, as "./engine".
func forbidden(pkg, imp string, inTest bool) string {
	ours := strings.HasPrefix(imp, "./")
	driver := within(imp, "database/sql", "modernc.org/sqlite", "github.com/jackc/pgx", "github.com/redis/go-redis")
	if within(imp, "go.starlark.net") && !within(pkg, "./starlark") {
		return "the interpreter is known to ./starlark only"
	}
	if within(imp, "./cmd") && !within(pkg, "./cmd", "./examples") {
		return "nothing below the command line knows it"
	}
	switch {
	case inTest && within(pkg, "./starlark", "./engine"):
		// Their tests may use the doubles and the operating system.
	case within(pkg, "./starlark"):
		if within(imp, "./engine", "./backend", "./activities", "database/sql", "net", "os") {
			return "a script sees the world only through Host"
		}
	case pkg == "./engine/enginetest" && imp == "./backend/memory":
		// Its worlds live in memory.
	case within(pkg, "./engine"):
		if strings.HasPrefix(imp, "./backend/") || driver || within(imp, "net/http", "github.com/spf13/cobra", "github.com/prometheus", "go.opentelemetry.io") {
			return "the engine knows the store's interface, and neither a database nor a command line"
		}
	case within(pkg, "./activities"):
		if within(imp, "./starlark", "./backend", "./engine") {
			return "activities is a leaf"
		}
	case pkg == "./backend":
		if (ours && !inTest) || driver {
			return "the records know nothing of ours and no driver"
		}
	case pkg == "./backend/backendtest":
		if (ours && imp != "./backend" && imp != "./backend/memory" && (!inTest || !within(imp, "./backend"))) || driver {
			return "the conformance suite knows the records and the reference model only"
		}
	case within(pkg, "./backend"):
		if ours && imp != "./backend" && !within(imp, pkg) && (!inTest || !within(imp, "./backend")) {
			return "a database knows nothing of ours but the records"
		}
	}
	return ""
}

func TestImports(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		short := func(path string) string { return strings.Replace(path, module, ".", 1) }
		check := func(imports []string, inTest bool) {
			for _, imp := range imports {
				if why := forbidden(short(p.ImportPath), short(imp), inTest); why != "" {
					t.Errorf("%s imports %s: %s", short(p.ImportPath), short(imp), why)
				}
			}
		}
		check(p.Imports, false)
		check(p.TestImports, true)
		check(p.XTestImports, true)
	}
	if seen < 5 {
		t.Fatalf("go list named %d packages only", seen)
	}
}

func TestForbidden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pkg, imp string
		test, ok bool
	}{
		{"./starlark", "go.starlark.net/starlark", false, true},
		{"./starlark", "os", false, false},
		{"./starlark", "net/url", false, false},
		{"./starlark", "os", true, true},
		{"./engine", "go.starlark.net/syntax", false, false},
		{"./engine", "go.starlark.net/syntax", true, false},
		{"./engine", "./backend", false, true},
		{"./engine", "./backend/sqlite", false, false},
		{"./engine/enginetest", "./backend/memory", false, true},
		{"./engine/enginetest", "./backend/sqlite", false, false},
		{"./engine", "./backend/memory", true, true},
		{"./engine", "go.opentelemetry.io/otel/trace", false, false},
		{"./engine", "github.com/prometheus/client_golang/prometheus", false, false},
		{"./activities", "./engine", false, false},
		{"./activities", "net/http", false, true},
		{"./backend", "./engine", false, false},
		{"./backend/sqlite", "./backend", false, true},
		{"./backend/sqlite", "./backend/backendtest", false, false},
		{"./backend/sqlite", "./backend/backendtest", true, true},
		{"./backend/backendtest", "./backend", false, true},
		{"./backend/backendtest", "./engine", false, false},
		{"./scripts", "./cmd/senpuki/cli", false, false},
		{"./examples/simple_flow", "./cmd/senpuki/cli", false, true},
	} {
		if got := forbidden(c.pkg, c.imp, c.test) == ""; got != c.ok {
			t.Errorf("%s importing %s (test: %v): allowed is %v, want %v", c.pkg, c.imp, c.test, got, c.ok)
		}
	}
}
