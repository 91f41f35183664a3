// Runs the example on this repository, and compares its report with hashes made here.

package inventory_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

// tree is a copy of the files that the repository's own directories hold, so
// that nothing that runs beside this test changes them.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"examples", "activities", "scripts"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join("../..", part))); err != nil {
			t.Fatal(err)
		}
	}
	odd := filepath.Join(dir, "a directory", "odd 'name' with $HOME.txt")
	if err := os.MkdirAll(filepath.Dir(odd), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(odd, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestInventory(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"find", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("the example runs " + tool + ", which is not here")
		}
	}
	dir, tmp := tree(t), t.TempDir()
	var want []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		want = append(want, fmt.Sprintf("%x  %s\n", sha256.Sum256(text), filepath.ToSlash(rel)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(want, func(a, b string) int { return strings.Compare(a[64:], b[64:]) })

	report := filepath.Join(tmp, "report.txt")
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), nil, []string{
		"exec", "inventory.star", "--db", filepath.Join(tmp, "inventory.db"), "--arg", "dir=" + dir, "--arg", "out=" + report,
	}, nil, &out, &errs)
	if code != 0 {
		t.Fatalf("exit status %d; standard error:\n%s", code, &errs)
	}
	got, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != strings.Join(want, "") {
		t.Errorf("report:\n%s\nwant:\n%s", got, strings.Join(want, ""))
	}
	var summary struct{ Files int }
	if err := json.Unmarshal(out.Bytes(), &summary); err != nil || summary.Files != len(want) {
		t.Errorf("summary %s names %d files (%v), want %d", &out, summary.Files, err, len(want))
	}
}
