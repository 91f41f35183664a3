// What live workers offer.

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// offers is what the live workers can do.
func offers(ctx context.Context, eng *engine.Engine) (list []engine.SessionInfo, err error) {
	live, err := eng.Workers(ctx)
	for _, w := range live {
		list = append(list, w.Info)
	}
	return list, err
}

// liveOffers is offers of the database, none when there is no database yet.
func (a *app) liveOffers(ctx context.Context) (list []engine.SessionInfo, err error) {
	err = a.view(ctx, func(eng *engine.Engine, _ backend.Store) (err error) {
		list, err = offers(ctx, eng)
		return err
	})
	if errors.Is(err, errNoDatabase) {
		err = nil
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

// freeSlot says what a task waits for that a worker offers: a slot of it, within the limit of its activity, if there is one.
func freeSlot(k *backend.Task) string {
	text := "a free slot for " + k.Activity
	var limits []string
	if l := k.Limit; l != nil && l.Max > 0 {
		limits = append(limits, fmt.Sprintf("%d at once", l.Max))
	}
	if l := k.Limit; l != nil && l.Rate > 0 {
		limits = append(limits, fmt.Sprintf("%d in %s", l.Rate, duration(l.Per)))
	}
	if len(limits) > 0 {
		text += ", limited to " + strings.Join(limits, " and ")
	}
	return text
}
