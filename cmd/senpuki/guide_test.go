// The tests that the guide shows pass.

package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

func TestTestsOfTheGuide(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, tests := t.TempDir(), 0
	for _, m := range scriptFence.FindAllSubmatch(text, -1) {
		name := string(m[1])
		if strings.HasSuffix(name, "_test.star") {
			tests++
		}
		if err := os.WriteFile(filepath.Join(dir, name), m[2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if tests == 0 {
		t.Fatal("the guide shows no test")
	}
	var out, errs bytes.Buffer
	if code := cli.Run(t.Context(), nil, []string{"test", dir}, nil, &out, &errs); code != 0 {
		t.Errorf("exit status %d\n%s%s", code, &out, &errs)
	}
	out.Reset()
	errs.Reset()
	if code := cli.Run(t.Context(), nil, []string{"check", dir}, nil, &out, &errs); code != 0 || strings.Contains(out.String()+errs.String(), "warning") {
		t.Errorf("check: exit status %d\n%s%s", code, &out, &errs)
	}
}
