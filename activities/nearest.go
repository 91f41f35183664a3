// Names that were probably meant.

package activities

import (
	"cmp"
	"slices"
	"strings"

	"github.com/senpuki/senpuki/internal/spelling"
)

// nearest returns at most limit of names that resemble name, best first.
func nearest(name string, names []string, limit int) []string {
	type match struct {
		name     string
		distance int
	}
	var found []match
	low := strings.ToLower(name)
	for _, n := range names {
		other := strings.ToLower(n)
		d := spelling.Distance(low, other)
		if low != "" && (strings.HasSuffix(other, "."+low) || strings.HasPrefix(other, low+".")) {
			d = 1 // "run" is meant for "shell.run" though most letters are missing
		}
		if longest := max(len(low), len(other)); d > max(1, longest/3) || d >= longest {
			continue
		}
		found = append(found, match{n, d})
	}
	slices.SortFunc(found, func(a, b match) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, m := range found[:min(limit, len(found))] {
		out = append(out, m.name)
	}
	return out
}

// meant is "; did you mean x or y?" or nothing.
func meant(name string, names []string) string {
	close := nearest(name, names, 3)
	if len(close) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(close, " or ") + "?"
}

// NearestOf is the one of names that is most like name, "" when none is.
func NearestOf(name string, names []string) string {
	if near := nearest(name, names, 1); len(near) > 0 {
		return near[0]
	}
	return ""
}
