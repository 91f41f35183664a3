// Names that a database looks up by an index, which takes no more than a part of a page.

package engine

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

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

// unfit refuses a name before it gets to the store: what an index refuses there would keep a whole batch from landing,
// and what nobody can type or tell from another breaks every list that it stands in.
func unfit(names ...name) *activities.Failure {
	for _, n := range names {
		wrong := ""
		switch {
		case len(n.text) > n.most:
			wrong = fmt.Sprintf("has %d bytes, at most %d are allowed", len(n.text), n.most)
		case strings.ContainsFunc(n.text, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
			wrong = fmt.Sprintf("%q has control characters", n.text)
		default:
			continue
		}
		return &activities.Failure{Kind: activities.KindBadArguments, NoRetry: true, Message: n.what + " " + wrong}
	}
	return nil
}

// unfitSignal is unfit for the name of a signal. A database that keeps no NUL in a text would deliver it under another name.
func unfitSignal(text string) *activities.Failure {
	return unfit(name{"the signal's name", text, maxName})
}

// unfitTags is unfit for tags.
func unfitTags(tags []string) *activities.Failure {
	for _, t := range tags {
		if t == "" {
			return &activities.Failure{Kind: activities.KindBadArguments, NoRetry: true, Message: "a tag has no name"}
		}
		if failure := unfit(name{"a tag", t, maxName}); failure != nil {
			return failure
		}
	}
	return nil
}
