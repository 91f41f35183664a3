// A database that fails while an execution runs here: the person who waits is told, once, and again when it is over.

package cli

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// healthEvery is how often the engine is asked. What is over by the next time is not worth telling.
const healthEvery = 300 * time.Millisecond

const (
	// silence is after how long without an acknowledged heartbeat a database is said not to answer: two are late by then, and
	// one that waits for a standby has been found to. A server that hangs gives no error for much longer.
	silence = 9 * time.Second
	// closePatience is how long the end of a run that was cut waits for the database to be closed.
	closePatience = 500 * time.Millisecond
)

const answersAgain = "the database answers again"

// faults watches how an engine stands with its database.
type faults struct {
	tell func(line string)
	stop chan struct{}
	done chan struct{} // closed when the watching has ended

	once sync.Once // the watching is ended

	mu    sync.Mutex // guards fault
	fault error      // what was told of; nil while all is well
}

func watchFaults(eng *engine.Engine, tell func(line string)) *faults {
	f := &faults{tell: tell, stop: make(chan struct{}), done: make(chan struct{})}
	go f.watch(eng)
	return f
}

func (f *faults) watch(eng *engine.Engine) {
	defer close(f.done)
	look := time.NewTicker(healthEvery)
	defer look.Stop()
	for before := false; ; {
		select {
		case <-look.C:
		case <-f.stop:
			return
		}
		fault := faultOf(eng.Health())
		switch told := f.told(); {
		case fault != nil && before && told == "":
			f.set(fault)
			why, next := faultText(fault)
			f.tell(why + "; " + next)
		case fault == nil && told != "":
			f.set(nil)
			f.tell(answersAgain)
		}
		before = fault != nil
	}
}

// faultOf is what is wrong by an engine's health, nil when all is well.
func faultOf(h engine.Health) error {
	if h.Fault == nil && h.Session != 0 && h.Beat > silence {
		return fmt.Errorf("nothing has come from it for %v", h.Beat.Round(time.Second))
	}
	return h.Fault
}

// outage tells somebody who only looks, once, that the database does not answer, and once that it does again.
type outage struct {
	tell func(line string)
	told bool
}

func (a *app) outage() *outage {
	return &outage{tell: func(line string) { fmt.Fprintln(a.err, line) }}
}

// is reports whether what came of a look was a database that does not answer: then the next look may meet one that does.
func (o *outage) is(err error) bool {
	away := errors.Is(err, backend.ErrTransient)
	switch {
	case o == nil:
	case away && !o.told:
		o.told = true
		why, next := faultText(err)
		o.tell(why + "; " + next)
	case err == nil && o.told:
		o.told = false
		o.tell(answersAgain)
	}
	return away
}

// shut closes a database. When what ran on it was cut nothing of it matters, and a server that hangs holds nobody up.
func (a *app) shut(store backend.Store) error {
	if !a.cut {
		return store.Close()
	}
	closed := make(chan error, 1)
	go func() { closed <- store.Close() }() // ends with the process at the latest
	select {
	case err := <-closed:
		return err
	case <-time.After(closePatience):
		return nil
	}
}

// faultText is what is wrong, and until when.
func faultText(err error) (why, next string) {
	if errors.Is(err, backend.ErrFull) {
		return "the disk is full", "going on as soon as there is room"
	}
	if errors.Is(err, backend.ErrDamaged) {
		return err.Error(), "trying again; 'senpuki db check' says where"
	}
	if errors.Is(err, backend.ErrRefused) {
		return maskText(err.Error()), "trying again"
	}
	return "the database does not answer: " + maskText(cause(err)), "going on as soon as it does"
}

// told is what the person knows to be wrong, "" when all is well.
func (f *faults) told() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == nil {
		return ""
	}
	why, _ := faultText(f.fault)
	return why
}

func (f *faults) set(fault error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// settled ends the watching because an end was recorded: a database that was said not to answer, or to have no room, has taken
// that, and nobody looks at the engine's health any more. It says nothing of what the database refuses.
func (f *faults) settled() {
	f.close()
	if f.fault != nil && !errors.Is(f.fault, backend.ErrRefused) && !errors.Is(f.fault, backend.ErrDamaged) {
		f.set(nil)
		f.tell(answersAgain)
	}
}

// close ends the watching. It may be called again, in vain.
func (f *faults) close() {
	f.once.Do(func() { close(f.stop) })
	<-f.done
}
