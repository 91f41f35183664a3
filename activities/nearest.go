// Names that were probably meant.

package activities

import (
	"cmp"
	"slices"
	"strings"
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
		d := distance(low, other)
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

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
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
