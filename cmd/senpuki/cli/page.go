// How much lists show.

package cli

import (
	"fmt"
	"math"

	"github.com/spf13/pflag"
)

// page is the flag --limit of a list. People see a page, who reads JSON with a program wants all.
type page struct {
	limit int
	flag  *pflag.Flag
}

func (p *page) register(flags *pflag.FlagSet) {
	flags.IntVar(&p.limit, "limit", 50, "how many at most; with --json all unless it is given")
	p.flag = flags.Lookup("limit")
}

// ask is how many to ask for: one more than is shown tells whether there are more. 0 is all.
func (p *page) ask(json bool) (int, error) {
	switch {
	case p.limit < 1:
		return 0, usage("--limit: %d is not at least 1", p.limit)
	case json && !p.flag.Changed:
		p.limit = math.MaxInt
		return 0, nil
	}
	return min(p.limit, math.MaxInt-1) + 1, nil
}

// cut is what is shown of what was found, and whether there is more.
func cut[T any](p *page, found []T) (shown []T, more bool) {
	if len(found) > p.limit {
		return found[:p.limit], true
	}
	return found, false
}

// tellMore says below a list that there is more than it shows.
func (a *app) tellMore(more bool, shown int) {
	if more {
		fmt.Fprintf(a.err, "%d shown, there are more; --limit shows more of them\n", shown)
	}
}
