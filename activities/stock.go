// The stock activities: which there are.

package activities

import (
	"fmt"
	"slices"
	"strings"
)

// StockGroups are the names that [RegisterStock] knows.
func StockGroups() []string { return []string{"shell", "http", "file"} }

// RegisterStock registers the named groups of stock activities: "shell", "http", "file".
func RegisterStock(r *Registry, allow ...string) error {
	for i, group := range allow {
		if slices.Contains(allow[:i], group) {
			continue
		}
		var err error
		switch group {
		case "shell":
			err = RegisterShell(r)
		case "http":
			err = RegisterHTTP(r)
		case "file":
			err = RegisterFile(r)
		default:
			err = fmt.Errorf("there is no group %q of stock activities; there are %s", group, strings.Join(StockGroups(), ", "))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// registration is one stock activity.
type registration struct {
	name string
	fn   any
	opts Options
}

func registerAll(r *Registry, all ...registration) error {
	for _, a := range all {
		if err := r.Register(a.name, a.fn, a.opts); err != nil {
			return err
		}
	}
	return nil
}
