// The line of source that a backtrace ends at.

package cli

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// position matches file:line:col in a backtrace.
var position = regexp.MustCompile(`([^\s:"()]+\.star):(\d+):(\d+)`)

// excerpt is the source around the last position in text that names a file of
// the user's; "" when there is none.
func excerpt(ctx context.Context, store backend.Store, digest, text string) string {
	places := position.FindAllStringSubmatch(text, -1)
	if len(places) == 0 {
		return ""
	}
	rec, err := store.Program(ctx, digest)
	if err != nil {
		return ""
	}
	src, err := starlark.ParseSources(rec.Sources)
	if err != nil {
		return ""
	}
	files := make(map[string]string, len(src.Files))
	for _, f := range src.Files {
		files[f.Path] = f.Text
	}
	for i := len(places) - 1; i >= 0; i-- {
		name := places[i][1]
		line, _ := strconv.Atoi(places[i][2])
		col, _ := strconv.Atoi(places[i][3])
		if source, ok := files[name]; ok && !strings.HasPrefix(name, "@") {
			return excerptOf(name, source, line, col)
		}
	}
	return ""
}

// excerptOf is a line of source with its neighbours and a caret.
func excerptOf(name, source string, line, col int) string {
	lines := strings.Split(strings.TrimRight(source, "\n"), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  %s:%d\n", name, line)
	for n := max(1, line-2); n <= min(len(lines), line+1); n++ {
		mark := " "
		if n == line {
			mark = ">"
		}
		fmt.Fprintf(&b, "  %s %4d | %s\n", mark, n, strings.ReplaceAll(lines[n-1], "\t", " "))
		if n == line && col > 0 && col <= len(lines[n-1])+1 {
			fmt.Fprintf(&b, "         | %s^\n", strings.Repeat(" ", col-1))
		}
	}
	return b.String()
}
