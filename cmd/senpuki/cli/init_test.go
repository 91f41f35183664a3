package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever a directory is called, Go takes the module that is made of it.
func TestModuleNames(t *testing.T) {
	t.Parallel()
	for project, want := range map[string]string{
		"shop": "shop", "my shop": "my-shop", "Shop!": "shop", "shöp": "sh-p", "日本": "app", "x@y": "x-y", "shop.": "shop", ".shop": "shop",
		"CON": "app", "nul.txt": "app", "console": "console", "v1": "app", "v2.3": "app", "v2x": "v2x", "a_b.c": "a_b.c", "/": "app", "a~1": "a-1",
	} {
		got := moduleName(project)
		if got != want {
			t.Errorf("%s: %s, not %s", project, got, want)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/"+got+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		list := exec.Command("go", "list", "-m")
		list.Dir = dir
		if out, err := list.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "example.com/"+got {
			t.Errorf("%s: %v: %s", project, err, out)
		}
	}
}
