// The workflow with the real activities, in virtual time.

package main

import (
	"os"
	"testing"
	"time"

	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/engine/enginetest"
)

func TestOrder(t *testing.T) {
	o := enginetest.Options{FS: os.DirFS("."), Registry: registry()}
	enginetest.CrashEverywhere(t, o, func(t *testing.T, env *enginetest.Env) {
		run := env.Start("workflows/order.star", engine.Input{Args: []any{"A1", 995}})
		env.Advance(24 * time.Hour)
		run.Signal("approve", true)
		if got := enginetest.ResultAs[receipt](run); got != (receipt{ID: "receipt-A1", Cents: 995}) {
			t.Errorf("got %+v", got)
		}
	})
}
