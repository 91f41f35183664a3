// What live workers offer.

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"


	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// offers is what the live workers can do.
func offers(ctx context.Context, store backend.Store) (list []engine.SessionInfo, err error) {
	sessions, err := store.Sessions(ctx)
	for _, s := range sessions {
		var info engine.SessionInfo
		if json.Unmarshal(s.Info, &info) == nil {
			list = append(list, info)
		}
	}
	return list, err
}

// offered reports whether a live worker can run a task.
func offered(k *backend.Task, offers []engine.SessionInfo) bool {
	return slices.ContainsFunc(offers, func(o engine.SessionInfo) bool { return o.Serves(k) })
}

func notOffered(k *backend.Task) string {
	text := fmt.Sprintf("no worker offers %q on queue %s", k.Activity, k.Queue)
	if len(k.Tags) > 0 {
		text += " with tags " + strings.Join(k.Tags, ", ")
	}
	return text
}
