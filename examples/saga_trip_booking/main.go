// Command saga_trip_booking is senpuki with a booking system, a ledger in a file.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

// noCars are the cities where every car is taken.
var noCars = map[string]bool{"Atlantis": true}

func registry() *activities.Registry {
	reg := activities.NewRegistry()
	ledger := &ledger{path: filepath.Join("out", "ledger.txt")}
	reg.MustRegister("book_flight", func(ctx context.Context, traveller, city string) (string, error) {
		return ledger.book(ctx, "flight", traveller+" to "+city)
	})
	reg.MustRegister("book_hotel", func(ctx context.Context, traveller, city string, nights int) (string, error) {
		return ledger.book(ctx, "hotel", fmt.Sprintf("%s in %s, %d nights", traveller, city, nights))
	})
	reg.MustRegister("book_car", func(ctx context.Context, traveller, city string, nights int) (string, error) {
		if noCars[city] {
			return "", activities.Fail("SoldOut", "no car is left in "+city, activities.Data(map[string]any{"city": city}))
		}
		return ledger.book(ctx, "car", fmt.Sprintf("%s in %s, %d days", traveller, city, nights))
	})
	reg.MustRegister("cancel_booking", ledger.cancel)
	return reg
}

// ledger stands for the booking systems: a file that has a line for everything that
// was booked or cancelled.
type ledger struct {
	mu   sync.Mutex // guards the file, in this process
	path string
}

// book notes a booking and returns its reference. The reference is the step's idempotency key: an attempt
// that is repeated, because the answer to the first one was lost, books nothing twice.
func (l *ledger) book(ctx context.Context, what, details string) (reference string, err error) {
	reference = what + ":" + activities.Info(ctx).IdempotencyKey
	return reference, l.note("book", reference, details)
}

// cancel notes a cancellation. What is cancelled already stays so.
func (l *ledger) cancel(reference string) error {
	return l.note("cancel", reference, "")
}

// note appends a line unless there is one for the same reference.
func (l *ledger) note(verb, reference, details string) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(l.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	entry := verb + " " + reference
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if line := lines.Text(); line == entry || strings.HasPrefix(line, entry+" ") {
			return nil
		}
	}
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.TrimSpace(entry+" "+details) + "\n")
	return errors.Join(err, f.Close())
}

func main() { cli.Main(registry()) }
