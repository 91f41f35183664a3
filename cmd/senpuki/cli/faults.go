// A database that fails while an execution runs here: the person who waits is told, once, and again when it is over.

package cli

import (
	"errors"
	"sync"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// healthEvery is how often the engine is asked. What is over by the next time is not worth telling.
const healthEvery = 300 * time.Millisecond

// faults watches how an engine stands with its database.
type faults struct {
	tell func(line string)
	stop chan struct{}
	done chan struct{} // closed when the watching has ended

	mu  sync.Mutex // guards why
	why string     // what was told; "" while all is well
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
		fault := eng.Health().Fault
		switch told := f.told(); {
		case fault != nil && before && told == "":
			why, next := faultText(fault)
			f.set(why)
			f.tell(why + "; " + next)
		case fault == nil && told != "":
			f.set("")
			f.tell("the database answers again")
		}
		before = fault != nil
	}
}

// faultText is what is wrong, and until when.
func faultText(err error) (why, next string) {
	if errors.Is(err, backend.ErrFull) {
		return "the disk is full", "going on as soon as there is room"
	}
	return "the database does not answer: " + maskText(cause(err)), "going on as soon as it does"
}

// told is what the person knows to be wrong, "" when all is well.
func (f *faults) told() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.why
}

func (f *faults) set(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.why = why
}

// close ends the watching; it is called once.
func (f *faults) close() {
	close(f.stop)
	<-f.done
}
