// Names that a database looks up by an index, which takes no more than a part of a page.

package engine

import (
	"fmt"

	"github.com/senpuki/senpuki/activities"
)

const (
	// maxName bounds ids, queues and names, in bytes.
	maxName = 1000
	// maxChildID bounds the id of a child, which is longer than its parent's unless the script names one.
	maxChildID = 2000
)

// name is a name that somebody has chosen.
type name struct {
	what, text string
	most       int
}

// tooLong refuses a name before it gets to the store: what an index refuses there would keep a whole batch from landing.
func tooLong(names ...name) *activities.Failure {
	for _, n := range names {
		if len(n.text) > n.most {
			return &activities.Failure{
				Kind: activities.KindBadArguments, NoRetry: true,
				Message: fmt.Sprintf("%s has %d bytes, at most %d are allowed", n.what, len(n.text), n.most),
			}
		}
	}
	return nil
}
