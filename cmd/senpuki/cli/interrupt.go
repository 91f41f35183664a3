package cli

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// sameWish is how soon after a signal another one adds nothing to it: nobody
// types that fast.
const sameWish = 100 * time.Millisecond

// interrupts delivers the user's wishes to stop, each once: timeout(1), and
// whoever else signals a process and then its group, sends every signal twice.
// stop ends the delivery; signals have their usual effect then.
func interrupts() (wishes <-chan os.Signal, stop func()) {
	raw, out, done := make(chan os.Signal, 4), make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(raw, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup(1) has it: then the terminal may be closed
		signal.Notify(raw, syscall.SIGHUP)
	}
	go distinct(raw, out, done)
	return out, func() {
		signal.Stop(raw)
		close(done)
	}
}

// distinct hands on what arrives more than sameWish after the signal before it, until done.
func distinct(in <-chan os.Signal, out chan<- os.Signal, done <-chan struct{}) {
	var last time.Time
	for {
		select {
		case s := <-in:
			if now := time.Now(); last.IsZero() || now.Sub(last) > sameWish {
				select {
				case out <- s:
				default: // nobody looks at the third
				}
			}
			last = time.Now()
		case <-done:
			return
		}
	}
}
