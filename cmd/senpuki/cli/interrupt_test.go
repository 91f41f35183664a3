package cli

import (
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestDistinct(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, out, done := make(chan os.Signal), make(chan os.Signal, 9), make(chan struct{})
		go distinct(in, out, done)
		for _, pause := range []time.Duration{0, time.Millisecond, time.Second, 0, sameWish, time.Minute} {
			time.Sleep(pause)
			in <- os.Interrupt
		}
		synctest.Wait()
		if len(out) != 3 {
			t.Errorf("%d wishes of three, each but the last sent twice or three times", len(out))
		}
		close(done)
	})
}
