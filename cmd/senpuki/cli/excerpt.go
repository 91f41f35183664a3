// The line of source that a backtrace is about.

package cli

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// position matches file:line:col in a backtrace.
var position = regexp.MustCompile(`([^\s:"()]+\.star):(\d+):(\d+)`)

// excerpt is the source around the last position in text that names a file of
// the user's, in its first backtrace that has one: the others tell where the error was raised again.
// "" when there is none.
func excerpt(ctx context.Context, store backend.Store, digest, text string) string {
	if !position.MatchString(text) {
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
	for trace := range strings.SplitSeq(text, starlark.RaisedAgain) {
		for _, place := range slices.Backward(position.FindAllStringSubmatch(trace, -1)) {
			name := place[1]
			line, _ := strconv.Atoi(place[2])
			col, _ := strconv.Atoi(place[3])
			if source, ok := files[name]; ok && !strings.HasPrefix(name, "@") {
				return excerptOf(name, source, line, col)
			}
		}
	}
	return ""
}

// excerptOf is a line of source with its neighbours and a caret.
func excerptOf(name, source string, line, col int) string {
	all := strings.Split(strings.TrimRight(lines(source), "\n"), "\n")
	if line < 1 || line > len(all) {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  %s:%d\n", name, line)
	for n := max(1, line-2); n <= min(len(all), line+1); n++ {
		mark := " "
		if n == line {
			mark = ">"
		}
		fmt.Fprintf(&b, "  %s %4d | %s\n", mark, n, strings.ReplaceAll(all[n-1], "\t", " "))
		if n == line && col > 0 && col <= len(all[n-1])+1 {
			fmt.Fprintf(&b, "         | %s^\n", strings.Repeat(" ", col-1))
		}
	}
	return b.String()
}
