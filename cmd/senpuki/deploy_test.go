// The files of deploy/ say what the binary understands.

package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/backend/postgres"
)

func deployed(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every environment variable of ours in them is one that is read.
func TestDeployedVariablesAreKnown(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("cli/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var source strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	for _, name := range []string{"Dockerfile", "compose.yaml", "senpuki-worker.service"} {
		names := regexp.MustCompile(`\bSENPUKI_[A-Z_]+`).FindAllString(deployed(t, name), -1)
		if len(names) == 0 {
			t.Errorf("%s sets nothing", name)
		}
		for _, v := range names {
			if !strings.Contains(source.String(), `"`+v+`"`) {
				t.Errorf("%s: %s is read nowhere", name, v)
			}
		}
	}
}

// Any password does: it is not written into a URL, where half of the special characters mean something.
func TestDeployedDatabaseTakesAnyPassword(t *testing.T) {
	t.Parallel()
	text := regexp.MustCompile(`\$\{POSTGRES_PASSWORD[^}]*\}`).ReplaceAllLiteralString(deployed(t, "compose.yaml"), `p@ss/w#rd%?`)
	urls := regexp.MustCompile(`SENPUKI_DB: (.*)`).FindAllStringSubmatch(text, -1)
	if len(urls) == 0 {
		t.Error("no database")
	}
	for _, u := range urls {
		if err := postgres.CheckURL(u[1]); err != nil {
			t.Errorf("%s: %v", u[1], err)
		}
	}
}
