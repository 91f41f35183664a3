// The activities: what workflows may call.

package main

import (
	"context"
	"log/slog"

	"github.com/senpuki/senpuki/activities"
)

// registry has the activities by the names that scripts use.
func registry() *activities.Registry {
	reg := activities.NewRegistry()
	reg.MustRegister("charge", charge, activities.Options{Params: []string{"order", "cents"}})
	reg.MustRegister("notify", notify, activities.Options{Params: []string{"order", "text"}})
	return reg
}

// receipt is what a charge returns to the script: an object.
type receipt struct {
	ID    string `json:"id"`
	Cents int64  `json:"cents"`
}

// charge runs at least once. Whoever must not charge twice is given the idempotency key, which
// is the same for every attempt of a step.
func charge(ctx context.Context, order string, cents int64) (receipt, error) {
	if cents <= 0 {
		return receipt{}, activities.Fail("BadAmount", "an amount is more than zero", activities.NotRetryable())
	}
	key := activities.Info(ctx).IdempotencyKey
	slog.Info("charge", "order", order, "cents", cents, "key", key)
	return receipt{ID: "receipt-" + order, Cents: cents}, nil
}

func notify(order, text string) error {
	slog.Info("notify", "order", order, "text", text)
	return nil
}
