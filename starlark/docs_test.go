// The language's reference: its examples run, and nothing is missing.

package starlark_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/starlark"
)

var fence = regexp.MustCompile("(?ms)^```python\n(.*?)^```$")

func TestExamplesOfTheReferenceRun(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	found := fence.FindAllSubmatchIndex(page, -1)
	if len(found) < 50 {
		t.Fatalf("only %d examples", len(found))
	}
	for _, m := range found {
		line := 1 + strings.Count(string(page[:m[0]]), "\n")
		t.Run("line "+strconv.Itoa(line), func(t *testing.T) {
			t.Parallel()
			runChunk(t, string(page[m[2]:m[3]]))
		})
	}
}

func TestTheReferenceNamesEverything(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range starlark.Predeclared() {
		mention := regexp.MustCompile(`[^\w.]` + regexp.QuoteMeta(name) + `\b`)
		if strings.HasPrefix(name, ".") {
			mention = regexp.MustCompile(regexp.QuoteMeta(name) + `\b`)
		}
		if !mention.Match(page) {
			t.Errorf("docs/language.md does not mention %s", name)
		}
	}
}
