// Tests that the embedded library can be read.

package scripts

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		text, err := Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(text, `"""`) {
			t.Errorf("%s does not begin with a docstring", name)
		}
		if !strings.Contains(text, `load("`+name+`"`) {
			t.Errorf("%s does not say how it is loaded", name)
		}
	}
	if len(Names()) < 2 {
		t.Errorf("Names() = %v", Names())
	}
}

func TestReadUnknown(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"@std/nothing.star", "@std/", "shell.star", "@std/../embed.go", "@std/std/shell.star", ""} {
		_, err := Read(path)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Read(%q): %v", path, err)
			continue
		}
		if !strings.Contains(err.Error(), "@std/http.star") {
			t.Errorf("Read(%q) does not list what there is: %v", path, err)
		}
	}
}
